//! Signing in and out.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use easycode_kit::App;
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    controls::{Field, errors_of},
    failure::Failure,
    forms::{Fields, Guest},
    layout::{Frame, SIGN_IN},
    within,
};
use crate::{cookies, oidc, sessions, sessions::Opened, sign_in};

const TITLE: &str = "Sign in";

/// The company whose identity provider someone wants to sign in at.
#[derive(Deserialize)]
pub struct Elsewhere {
    #[serde(default)]
    company: String,
}

/// The form.
pub async fn show(
    State(app): State<App>,
    guest: Guest,
    Query(Elsewhere { company }): Query<Elsewhere>,
) -> Result<Response, Failure> {
    let company = company.trim();
    let elsewhere = if company.is_empty() { None } else { Some(oidc::is_offered(&app, company).await?) };
    let page = Frame::bare(TITLE).show(&form(&guest, company, "", elsewhere));
    Ok(with_cookies(page, guest.cookie))
}

/// Signs in, and leads to one's own page.
pub async fn submit(
    State(app): State<App>,
    guest: Guest,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    let (tenant, email) = (fields.get("company"), fields.get("email"));
    let outcome = match within(&fields, &["company", "email"]) {
        Ok(()) => {
            let password = fields.secret("password");
            sign_in::with_password(&app, tenant, email, &password, &super::client(&headers)).await
        }
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(opened) => enter(&headers, &opened),
        Err(problem) => {
            let errors = errors_of(&problem, &[]);
            let form = form(&guest, tenant, email, None);
            Ok(Frame { errors: &errors, ..Frame::bare(TITLE) }.answer(problem.status_code(), &form))
        }
    }
}

/// Ends the session.
pub async fn leave(State(app): State<App>, headers: HeaderMap, _: Fields) -> Result<Response, Failure> {
    if let Some(session) = cookies::get(&headers, cookies::SESSION) {
        // One that is over already is what was wanted.
        match sessions::end(&app, &session).await {
            Err(problem) if problem.status >= 500 => return Err(problem.into()),
            _ => {}
        }
    }
    Ok(with_cookies(super::to(SIGN_IN), Some(cookies::remove(&headers, cookies::SESSION)?)))
}

/// Leads to the page of who has just shown who they are.
pub fn enter(headers: &HeaderMap, opened: &Opened) -> Result<Response, Failure> {
    Ok(with_cookies(
        super::to("/user/"),
        Some(cookies::session(headers, &opened.refresh_token, opened.refresh_expires_in)?),
    ))
}

/// With a cookie, if there is one to be set.
pub fn with_cookies(response: Response, cookie: Option<HeaderValue>) -> Response {
    match cookie {
        Some(cookie) => (AppendHeaders([(header::SET_COOKIE, cookie)]), response).into_response(),
        None => response,
    }
}

/// The form; `elsewhere` says whether one can sign in at an identity provider of the company, if that was asked.
fn form(guest: &Guest, tenant: &str, email: &str, elsewhere: Option<bool>) -> Markup {
    html! {
        form method="post" action=(SIGN_IN) {
            (guest.token.field())
            (Field::new("company", "Company", &[]).hint("Its short name, as in the invitation.").line("text", "organization", tenant))
            (Field::new("email", "Email address", &[]).line("email", "username", email))
            (Field::new("password", "Password", &[]).line("password", "current-password", ""))
            button class="main" { "Sign in" }
        }
        h2 { "With your company's account" }
        @match elsewhere {
            // A link leads there: what a form leads to may not be another site.
            Some(true) => {
                @let query = form_urlencoded::Serializer::new(String::new()).append_pair("tenant", tenant).finish();
                p { a href={ "/user/v1/oidc/start?" (query) } { "Sign in with your account of " (tenant) } }
            }
            // The same for a company that there is not.
            Some(false) => p role="status" { (tenant) " has no identity provider of its own here; sign in with your password." },
            None => {}
        }
        form method="get" action=(SIGN_IN) {
            div class="field" {
                label for="elsewhere" { "Company with an identity provider of its own" }
                input id="elsewhere" name="company" autocomplete="organization" value=(tenant);
            }
            button { "Go on with your company's account" }
        }
        p { "Forgotten the password? An administrator of your company can make you a new link." }
    }
}
