//! The API, below `/user/v1`.

mod identity_provider;
mod invitations;
mod me;
mod oidc;
mod roles;
mod sessions;
mod users;

use axum::http::{HeaderMap, header};
use easycode_kit::{App, Problem};
use utoipa_axum::router::OpenApiRouter;

use crate::sessions::Client;

/// Longest text of what is sent without a token, in bytes.
const LONGEST: usize = 1024;

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(invitations::routes())
        .merge(me::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(identity_provider::routes())
        .merge(oidc::routes())
}

/// What signs in.
fn client(headers: &HeaderMap) -> Client {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Client { user_agent }
}

/// Refuses texts that are too long to be what they should.
fn bounded(fields: &[(&str, &str)]) -> Result<(), Problem> {
    match fields.iter().find(|(_, text)| text.len() > LONGEST) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::invalid(format!("{name}: must have at most {LONGEST} bytes"))),
    }
}
