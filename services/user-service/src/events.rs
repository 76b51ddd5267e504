//! The tenant's own audit trail: what was done with its users, by whom. Written in the transaction of what it tells of.

use easycode_kit::{
    Problem, TenantTransaction,
    page::{Page, PageQuery},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::members::Member;

/// Who acts where nobody has shown who they are.
pub const ANYONE: &str = "anyone";

/// An entry of the trail.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// When it was.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who did it: an account's id, `staff:` and a name for EasyCode's staff, or `anyone` who was not signed in.
    pub actor: String,
    /// What was done, such as `user.invited`.
    pub act: String,
    /// To whom or what: an account's id, or `identity-provider`.
    pub subject: String,
    /// What else there is to say.
    pub detail: Value,
}

/// Adds an entry. Nothing secret goes into it.
pub async fn record(
    connection: &mut PgConnection,
    actor: &str,
    act: &str,
    subject: impl ToString,
    detail: Value,
) -> Result<(), Problem> {
    sqlx::query("INSERT INTO event (id, actor, act, subject, detail) VALUES ($1, $2, $3, $4, $5)")
        .bind(Uuid::now_v7())
        .bind(actor)
        .bind(act)
        .bind(subject.to_string())
        .bind(detail)
        .execute(connection)
        .await?;
    Ok(())
}

/// What of the last 30 days concerns the security of the caller's own account, newest first, at most ten.
pub async fn of_concern(member: &Member) -> Result<Vec<Event>, Problem> {
    let query = "SELECT id, at, actor, act, subject, detail FROM event
        WHERE subject = $1 AND act = ANY ($2) AND at > now() - interval '30 days' ORDER BY id DESC LIMIT 10";
    let acts = ["user.locked", "user.password-changed", "user.changed", "user.linked", "session.token-reused"];
    let account = member.account()?.to_string();
    Ok(sqlx::query_as(query).bind(account).bind(&acts[..]).fetch_all(&mut *member.begin().await?).await?)
}

/// A page of the trail, oldest first. For administrators.
pub async fn page(member: &Member, page: &PageQuery) -> Result<Page<Event>, Problem> {
    member.require_administrator()?;
    let mut transaction: TenantTransaction = member.begin().await?;
    let select = "id, at, actor, act, subject, detail FROM event";
    page.select(&mut transaction, select, "id", |one: &Event| one.id).await
}
