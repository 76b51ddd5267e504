//! Links by which someone who was invited chooses a password. The same is for who has forgotten theirs: an administrator makes a link.

use std::time::Instant;

use easycode_kit::{App, Problem};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    accounts::{self, Status},
    events::record,
    members::Member,
    realm::{Asking, Realm, refuse_evenly},
    secret::{InvitationToken, Secret},
    sessions::{self, Client, Holder, Opened},
    strength,
};

/// How long a link counts.
const LIFETIME: Duration = Duration::days(7);
/// Path of the page, below which nothing is: what is in a path is logged, what is in a query is not.
const PATH: &str = "/user/invitation";

/// A link for one person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Path with the token, on the host that the services are at.
    pub path: Secret,
    /// When it is over.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Whom a link is for.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Invitee {
    /// The account.
    pub id: Uuid,
    /// Address that the person signs in with.
    pub email: String,
    /// The person's name.
    pub name: String,
    invitation: Uuid,
}

/// Makes a link for an account; those of before don't count any more.
pub(crate) async fn make(
    connection: &mut PgConnection,
    realm: &Realm,
    account: Uuid,
    by: &str,
) -> Result<Link, Problem> {
    let token = InvitationToken::new(realm.tenant());
    sqlx::query("DELETE FROM invitation WHERE account_id = $1 AND used_at IS NULL")
        .bind(account)
        .execute(&mut *connection)
        .await?;
    let insert = "INSERT INTO invitation (id, account_id, token_hash, invited_by, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5)) RETURNING expires_at";
    let expires_at = sqlx::query_scalar(insert)
        .bind(Uuid::now_v7())
        .bind(account)
        .bind(token.hash())
        .bind(by)
        .bind(LIFETIME.as_seconds_f64())
        .fetch_one(connection)
        .await?;
    let path = Secret::from(format!("{PATH}?token={}", token.encode().reveal()));
    Ok(Link { path, expires_at })
}

/// Makes a new link for a user who may sign in. For administrators.
pub async fn renew(member: &Member, id: Uuid) -> Result<Link, Problem> {
    member.require_administrator()?;
    let mut transaction = accounts::begin_alone(member).await?;
    let user = accounts::find(&mut transaction, member, id).await?;
    if user.status == Status::Disabled {
        return Err(Problem::conflict("the user is disabled; let the user in again first"));
    }
    let link = make(&mut transaction, member, id, &member.subject).await?;
    record(&mut transaction, &member.subject, "user.link-made", id, json!({ "email": user.email })).await?;
    transaction.commit().await?;
    Ok(link)
}

/// Whom a link is for, if it counts.
pub async fn invitee(app: &App, token: &Secret) -> Result<(Realm, Invitee), Problem> {
    refuse_evenly(Instant::now(), find_invitee(app, token).await).await
}

async fn find_invitee(app: &App, token: &Secret) -> Result<(Realm, Invitee), Problem> {
    let token = InvitationToken::decode(token).ok_or_else(over)?;
    let realm = Realm::find(app, &token.tenant, Asking::Stranger).await?.ok_or_else(over)?;
    let invitee = find(&mut *realm.begin().await?, &token).await?;
    Ok((realm, invitee))
}

/// Follows a link: the person has that password from now on, and is signed in; whoever else was signed in as this person no longer is.
pub async fn accept(
    app: &App,
    secret: &Secret,
    name: Option<&str>,
    password: &Secret,
    client: &Client,
) -> Result<Opened, Problem> {
    let token = InvitationToken::decode(secret).ok_or_else(over)?;
    let (realm, Invitee { email, name: known, .. }) = invitee(app, secret).await?;
    realm.require_writable()?;
    let name = name.map_or(known.as_str(), str::trim);
    strength::check(&realm, password, &email, name).await?;
    let hash = realm.shared().hasher.hash(realm.tenant(), password).await?;

    let mut transaction = accounts::begin_alone(&realm).await?;
    // It may have been followed meanwhile, or replaced.
    let invitee = find(&mut transaction, &token).await?;
    sqlx::query("UPDATE invitation SET used_at = now() WHERE id = $1")
        .bind(invitee.invitation)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "UPDATE account SET name = $2, password_hash = $3, status = 'Active', failed_attempts = 0, locked_until = NULL,
             version = version + 1, updated_at = now() WHERE id = $1",
    )
    .bind(invitee.id)
    .bind(name)
    .bind(hash)
    .execute(&mut *transaction)
    .await?;
    sessions::end_all(&mut transaction, invitee.id, None).await?;
    record(&mut transaction, &invitee.id.to_string(), "user.link-followed", invitee.id, json!({ "email": email }))
        .await?;
    let holder = Holder { id: invitee.id, email, name: name.to_owned() };
    let opened = sessions::open(&mut transaction, &realm, &holder, "invitation", client).await?;
    transaction.commit().await?;
    Ok(opened)
}

async fn find(connection: &mut PgConnection, token: &InvitationToken) -> Result<Invitee, Problem> {
    let find = "SELECT account.id, email, name, invitation.id AS invitation FROM invitation JOIN account ON account.id = account_id
         WHERE token_hash = $1 AND used_at IS NULL AND expires_at > now() AND status <> 'Disabled'";
    sqlx::query_as(find).bind(token.hash()).fetch_optional(connection).await?.ok_or_else(over)
}

fn over() -> Problem {
    Problem::not_found("the link was used already, is over, or was replaced by another; ask for a new one")
}
