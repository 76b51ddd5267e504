//! The company's own identity provider, by OpenID Connect.

use easycode_kit::{Problem, record::untouched};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use url::Url;
use utoipa::ToSchema;

use crate::{events::record, members::Member, oidc, secret::Secret};

/// What the trail calls it.
const SUBJECT: &str = "identity-provider";

/// The identity provider, as administrators see it.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Its address, as in its tokens.
    pub issuer: String,
    /// What it calls EasyCode.
    pub client_id: String,
    /// Whether users can sign in there.
    pub enabled: bool,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What it becomes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Change {
    /// Its address: https, with a name.
    pub issuer: String,
    /// What it calls EasyCode.
    pub client_id: String,
    /// The secret that it gave EasyCode; it is never shown again. Without it that of before stays, as long as `issuer` and
    /// `clientId` do.
    pub client_secret: Option<Secret>,
    /// Whether users can sign in there.
    pub enabled: bool,
}

/// All that is known of it.
#[derive(sqlx::FromRow)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

#[derive(sqlx::FromRow)]
struct Before {
    version: i32,
    #[sqlx(flatten)]
    provider: Provider,
}

/// The identity provider. For administrators.
pub async fn read(member: &Member) -> Result<IdentityProvider, Problem> {
    member.require_administrator()?;
    let query = "SELECT issuer, client_id, enabled, version FROM identity_provider";
    let found = sqlx::query_as(query).fetch_optional(&mut *member.begin().await?).await?;
    found.ok_or_else(|| Problem::not_found("the company has no identity provider"))
}

/// Sets the identity provider, once it answers. For administrators.
pub async fn change(member: &Member, change: Change, expected: Option<i32>) -> Result<IdentityProvider, Problem> {
    member.require_administrator()?;
    let url: Option<Url> = change.issuer.parse().ok();
    let plain =
        |url: &Url| url.query().is_none() && url.fragment().is_none() && member.shared().providers.outbound.allows(url);
    if !url.as_ref().is_some_and(plain) {
        return Err(Problem::invalid(
            "issuer: must be an https address with a public name, without query, or one that EasyCode has allowed",
        ));
    }
    if change.enabled && member.shared().providers.metadata(&change.issuer).await.is_err() {
        return Err(Problem::invalid(
            "issuer: its /.well-known/openid-configuration can't be read, or is of another issuer",
        ));
    }
    let mut transaction = member.begin().await?;
    let before: Option<Before> =
        sqlx::query_as("SELECT version, issuer, client_id, client_secret FROM identity_provider FOR UPDATE")
            .fetch_optional(&mut *transaction)
            .await?;
    if expected.is_some() && expected != before.as_ref().map(|before| before.version) {
        return Err(untouched(before.is_some(), "identity provider"));
    }
    // The secret of one is not to be shown to another, which may be anyone's.
    let kept = before.map(|before| before.provider);
    let kept = kept.filter(|kept| kept.issuer == change.issuer && kept.client_id == change.client_id);
    let secret = change.client_secret.map(|given| given.reveal().to_owned()).or(kept.map(|kept| kept.client_secret));
    let changed = sqlx::query_as(
        "INSERT INTO identity_provider (issuer, client_id, client_secret, enabled) VALUES ($1, $2, $3, $4)
         ON CONFLICT (one) DO UPDATE SET issuer = excluded.issuer, client_id = excluded.client_id,
             client_secret = excluded.client_secret, enabled = excluded.enabled, version = identity_provider.version + 1
         RETURNING issuer, client_id, enabled, version",
    )
    .bind(&change.issuer)
    .bind(&change.client_id)
    .bind(secret.ok_or_else(|| Problem::invalid("clientSecret: is needed with another issuer or clientId"))?)
    .bind(change.enabled)
    .fetch_one(&mut *transaction)
    .await?;
    let detail = json!({ "issuer": change.issuer, "clientId": change.client_id, "enabled": change.enabled });
    record(&mut transaction, &member.subject, "identity-provider.changed", SUBJECT, detail).await?;
    transaction.commit().await?;
    Ok(changed)
}

/// Removes the identity provider. Who has no password needs a new link then. For administrators.
pub async fn remove(member: &Member) -> Result<(), Problem> {
    member.require_administrator()?;
    let mut transaction = member.begin().await?;
    let issuer: Option<String> =
        sqlx::query_scalar("DELETE FROM identity_provider RETURNING issuer").fetch_optional(&mut *transaction).await?;
    let issuer = issuer.ok_or_else(|| untouched(false, "identity provider"))?;
    record(&mut transaction, &member.subject, "identity-provider.removed", SUBJECT, json!({ "issuer": issuer }))
        .await?;
    transaction.commit().await
}

/// The identity provider, if users can sign in there; refuses if not.
pub(crate) async fn enabled(connection: &mut PgConnection) -> Result<Provider, Problem> {
    find_enabled(connection).await?.ok_or_else(oidc::not_offered)
}

/// The identity provider, if users can sign in there.
pub(crate) async fn find_enabled(connection: &mut PgConnection) -> Result<Option<Provider>, Problem> {
    let query = "SELECT issuer, client_id, client_secret FROM identity_provider WHERE enabled";
    Ok(sqlx::query_as(query).fetch_optional(connection).await?)
}
