//! The pages for a company's people and administrators, below `/user/`. They do what the API does, by the same modules of the domain;
//! settings are tenant-service's, which is asked in the name of who looks at the page.

mod controls;
mod events;
mod failure;
mod forms;
mod home;
mod invitation;
mod kept;
mod layout;
mod notifications;
mod people;
mod person;
mod preview;
mod role_boxes;
mod schema_form;
mod services;
mod settings;
mod settings_view;
mod sign_in;
mod theme;
mod visitor;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use easycode_kit::{App, Problem};
use maud::{Markup, html};
use serde::Deserialize;

use self::forms::Fields;
use crate::{realm::STRANGERS_BODY_BYTES, sessions::Client};

/// Longest text in a field that is not one of settings, in bytes.
const LONGEST: usize = 1024;

/// The routes.
pub fn router() -> Router<App> {
    let strangers = DefaultBodyLimit::max(STRANGERS_BODY_BYTES);
    Router::new()
        .route("/user", get(|| async { to("/user/") }))
        .route("/user/", get(home::show))
        .route("/user/password", post(home::change_password))
        .route("/user/sessions/{id}/end", post(home::end_session))
        .route("/user/sign-in", get(sign_in::show).post(sign_in::submit).layer(strangers))
        .route("/user/sign-out", post(sign_in::leave))
        .route("/user/invitation", get(invitation::show).post(invitation::submit).layer(strangers))
        .route("/user/people", get(people::show).post(people::invite))
        .route("/user/people/{id}", get(person::show).post(person::change))
        .route("/user/people/{id}/{act}", post(person::act))
        .route("/user/settings", get(settings::list))
        .route("/user/settings/{service}", get(settings::show).post(settings::submit))
        .route("/user/events", get(events::show))
        .route("/user/style.css", get(theme::style))
        .route("/user/theme.css", get(theme::theme))
        .layer(middleware::from_fn(kept::with_session))
        .layer(middleware::map_response(layout::with_headers))
}

/// What was just done, of which the page tells.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Done {
    done: String,
}

/// Leads elsewhere, after a form was sent.
fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

/// What someone signs in with.
fn client(headers: &HeaderMap) -> Client {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Client { user_agent }
}

/// Refuses texts that are too long to be what they should, or that Postgres can't store.
fn within(fields: &Fields, names: &[&str]) -> Result<(), Problem> {
    for name in names {
        let text = fields.get(name);
        if text.len() > LONGEST || text.contains('\0') {
            return Err(Problem::invalid(format!("{name}: must have at most {LONGEST} bytes, and no U+0000")));
        }
    }
    Ok(())
}

/// The way to the next page of a table.
fn more(path: &str, next: Option<&str>) -> Markup {
    html! { @if let Some(next) = next { p { a href={ (path) "?cursor=" (next) } { "Go on to the next ones" } } } }
}
