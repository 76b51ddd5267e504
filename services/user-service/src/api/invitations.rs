//! Following an invitation.

use axum::{
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{App, Json, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bounded, client};
use crate::{invitations, realm::STRANGERS_BODY_BYTES, secret::Secret, sessions::Opened};

/// Who was invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    /// The token in the link.
    token: Secret,
    /// The person's name, if it is to be another.
    name: Option<String>,
    /// The password from now on.
    password: Secret,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(accept)).layer(DefaultBodyLimit::max(STRANGERS_BODY_BYTES))
}

/// Follows a link: sets the password, and signs in.
#[utoipa::path(post, path = "/invitations/accept", tag = "invitations", security(()), request_body = Acceptance, responses((status = 201, body = Opened), (status = 404), (status = 422)))]
async fn accept(
    State(app): State<App>,
    headers: HeaderMap,
    Json(Acceptance { token, name, password }): Json<Acceptance>,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    bounded(&[("name", name.as_deref().unwrap_or_default()), ("password", password.reveal())])?;
    let opened = invitations::accept(&app, &token, name.as_deref(), &password, &client(&headers)).await?;
    Ok((StatusCode::CREATED, Json(opened)))
}
