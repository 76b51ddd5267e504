//! The company's identity provider, for its administrators.

use axum::http::{HeaderMap, StatusCode};
use easycode_kit::{
    App, Json, Problem,
    record::{IfMatch, expected_version},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::bounded;
use crate::{
    identity_provider::{self, Change, IdentityProvider},
    members::Member,
};

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read, replace, delete))
}

/// The identity provider.
#[utoipa::path(get, path = "/identity-provider", tag = "identity provider", responses((status = 200, body = IdentityProvider), (status = 403), (status = 404)))]
async fn read(member: Member) -> Result<Json<IdentityProvider>, Problem> {
    Ok(Json(identity_provider::read(&member).await?))
}

/// Sets the identity provider. It is to send users back to `/user/v1/oidc/callback`.
#[utoipa::path(put, path = "/identity-provider", tag = "identity provider", params(IfMatch), request_body = Change, responses((status = 200, body = IdentityProvider), (status = 403), (status = 412), (status = 422)))]
async fn replace(
    member: Member,
    headers: HeaderMap,
    Json(change): Json<Change>,
) -> Result<Json<IdentityProvider>, Problem> {
    bounded(&[("issuer", &change.issuer), ("clientId", &change.client_id)])?;
    Ok(Json(identity_provider::change(&member, change, expected_version(&headers)?).await?))
}

/// Removes the identity provider. Who has no password needs a new link then.
#[utoipa::path(delete, path = "/identity-provider", tag = "identity provider", responses((status = 204), (status = 403), (status = 404)))]
async fn delete(member: Member) -> Result<StatusCode, Problem> {
    identity_provider::remove(&member).await?;
    Ok(StatusCode::NO_CONTENT)
}
