//! Signing in at the company's identity provider, in a browser.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use easycode_kit::{App, Problem, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bounded, client};
use crate::{cookies, oidc, secret::Secret};

/// Where users are sent once they are signed in.
const HOME: &str = "/user/";

/// Whose users.
#[derive(Deserialize, IntoParams)]
struct Start {
    /// The company: its tenant's name.
    tenant: String,
}

/// What the provider sends users back with.
#[derive(Deserialize, IntoParams)]
struct Back {
    /// As it was sent there.
    state: String,
    /// Stands for who they are; absent if they were refused.
    #[param(value_type = Option<String>)]
    code: Option<Secret>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start)).routes(routes!(callback))
}

/// Sends the browser to the company's identity provider.
#[utoipa::path(get, path = "/oidc/start", tag = "identity provider", security(()), params(Start), responses((status = 303), (status = 404)))]
async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    Query(Start { tenant }): Query<Start>,
) -> Result<Response, Problem> {
    bounded(&[("tenant", &tenant)])?;
    let started = oidc::start(&app, &tenant, &base(&headers)?).await?;
    let seconds = i64::try_from(oidc::ATTEMPT_SECONDS).unwrap_or_default();
    let cookie = cookies::set(&headers, cookies::ATTEMPT, started.attempt.reveal(), seconds)?;
    let answer = [(header::LOCATION, started.url.to_string()), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::SEE_OTHER, AppendHeaders([(header::SET_COOKIE, cookie)]), answer).into_response())
}

/// Takes the browser back from the company's identity provider, and signs in.
#[utoipa::path(get, path = "/oidc/callback", tag = "identity provider", security(()), params(Back), responses((status = 303), (status = 401)))]
async fn callback(
    State(app): State<App>,
    headers: HeaderMap,
    Query(Back { state, code }): Query<Back>,
) -> Result<Response, Problem> {
    let code = code.ok_or_else(|| Problem::unauthorized("your company's identity provider did not sign you in"))?;
    let attempt = cookies::get(&headers, cookies::ATTEMPT).ok_or_else(|| {
        Problem::unauthorized("signing in took too long, or was begun in another browser; begin anew")
    })?;
    let opened = oidc::finish(&app, &attempt, &state, &code, &base(&headers)?, &client(&headers)).await?;
    let cookies = [
        cookies::session(&headers, &opened.refresh_token, opened.refresh_expires_in)?,
        cookies::remove(&headers, cookies::ATTEMPT)?,
    ];
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    let answer = [(header::LOCATION, HOME), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::SEE_OTHER, cookies, answer).into_response())
}

/// What the services are at, as the browser sees it.
fn base(headers: &HeaderMap) -> Result<String, Problem> {
    let host = cookies::host(headers).ok_or_else(|| Problem::invalid("Host: is needed"))?;
    let scheme = if cookies::is_local(headers) { "http" } else { "https" };
    Ok(format!("{scheme}://{host}"))
}
