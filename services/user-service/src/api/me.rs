//! One's own account.

use axum::http::StatusCode;
use easycode_kit::{App, Json, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::bounded;
use crate::{
    accounts::{self, User},
    members::Member,
    secret::Secret,
    sign_in,
};

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    /// The present one.
    current: Secret,
    /// The one from now on.
    new: Secret,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(change_password))
}

/// One's own account.
#[utoipa::path(get, path = "/me", tag = "me", responses((status = 200, body = User), (status = 404)))]
async fn read(member: Member) -> Result<Json<User>, Problem> {
    Ok(Json(accounts::read(&member, member.account()?).await?))
}

/// Changes one's own password, which ends all other sessions.
#[utoipa::path(put, path = "/me/password", tag = "me", request_body = PasswordChange, responses((status = 204), (status = 404), (status = 409), (status = 422), (status = 429)))]
async fn change_password(
    member: Member,
    Json(PasswordChange { current, new }): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    bounded(&[("current", current.reveal()), ("new", new.reveal())])?;
    sign_in::change_password(&member, &current, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}
