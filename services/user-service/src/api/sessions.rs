//! Signing in and out.

use axum::{
    Json as Document,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{App, Json, Path, Problem};
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{bounded, client};
use crate::{
    members::Member,
    realm::{STRANGERS_BODY_BYTES, Shared},
    secret::Secret,
    sessions::{self, Opened, Session},
    sign_in,
};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The company: its tenant's name.
    tenant: String,
    /// The user's address.
    email: String,
    /// The user's password.
    password: Secret,
}

/// A session's token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Refresh {
    /// As it was given last.
    refresh_token: Secret,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(refresh))
        .routes(routes!(delete_current))
        .routes(routes!(delete))
        .routes(routes!(keys))
        .layer(DefaultBodyLimit::max(STRANGERS_BODY_BYTES))
}

/// Signs in. Every refusal is the same, whatever was wrong.
#[utoipa::path(post, path = "/sessions", tag = "sessions", security(()), request_body = Credentials, responses((status = 201, body = Opened), (status = 401), (status = 429)))]
async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Json(Credentials { tenant, email, password }): Json<Credentials>,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    bounded(&[("tenant", &tenant), ("email", &email)])?;
    let opened = sign_in::with_password(&app, &tenant, &email, &password, &client(&headers)).await?;
    Ok((StatusCode::CREATED, Json(opened)))
}

/// Gives the next tokens of a session. A token that was used already ends the session.
#[utoipa::path(post, path = "/sessions/refresh", tag = "sessions", security(()), request_body = Refresh, responses((status = 200, body = Opened), (status = 401)))]
async fn refresh(State(app): State<App>, Json(shown): Json<Refresh>) -> Result<Json<Opened>, Problem> {
    Ok(Json(sessions::refresh(&app, &shown.refresh_token).await?))
}

/// One's own open sessions.
#[utoipa::path(get, path = "/sessions", tag = "sessions", responses((status = 200, body = Vec<Session>), (status = 404)))]
async fn list(member: Member) -> Result<Json<Vec<Session>>, Problem> {
    Ok(Json(sessions::list(&member).await?))
}

/// Signs out: ends the session of the refresh token, or without one that of the bearer's token.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", security((), ("token" = [])), request_body(content = Option<Refresh>), responses((status = 204), (status = 401), (status = 404)))]
async fn delete_current(
    State(app): State<App>,
    member: Result<Member, Problem>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    if body.is_empty() {
        let member = member?;
        let session = member.session.ok_or_else(|| Problem::not_found("your token is of no session"))?;
        sessions::end_one(&member, session).await?;
    } else {
        let shown: Refresh = serde_json::from_slice(&body).map_err(|error| Problem::invalid(error.to_string()))?;
        sessions::end(&app, &shown.refresh_token).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of one's own sessions.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", responses((status = 204), (status = 404)))]
async fn delete(member: Member, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    sessions::end_one(&member, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys of the tokens: that of before, that which signs, and that which is next.
#[utoipa::path(get, path = "/jwks.json", tag = "sessions", security(()), responses((status = 200, body = Object)))]
async fn keys(State(app): State<App>) -> Result<Document<JwkSet>, Problem> {
    Ok(Document(Shared::of(&app).keys.published()?))
}
