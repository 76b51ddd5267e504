//! Signing in and out.

use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::PrivateCookieJar;
use easycode_kit::Problem;
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::layout::{Page, Refused};
use crate::{
    App,
    config::BASE,
    session::{self, Session, SigningIn},
};

/// Longest path that is come back to.
const LONGEST: usize = 1_000;

/// Where to go on.
#[derive(Deserialize)]
pub struct To {
    #[serde(default)]
    to: String,
}

/// What the issuer sends back.
#[derive(Deserialize)]
pub struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// What a form without fields carries.
#[derive(Deserialize)]
pub struct SignOut {
    csrf: String,
}

/// A path of the console; nothing that leads elsewhere.
fn of_console(to: &str) -> &str {
    let within = to.strip_prefix(BASE).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if within && to.len() <= LONGEST && !to.contains(['\\', '\r', '\n']) { to } else { BASE }
}

fn unsigned(status: StatusCode, title: &str, content: Markup) -> Response {
    (status, Page { title, session: None, refresh: None, content }.render()).into_response()
}

/// The page that asks to sign in.
pub async fn page(Query(To { to }): Query<To>) -> Response {
    let content = html! {
        p { "For EasyCode's staff." }
        form method="get" action="/client-admin/sign-in/start" {
            input type="hidden" name="to" value=(of_console(&to));
            button { "Sign in" }
        }
    };
    unsigned(StatusCode::OK, "Sign in", content)
}

/// Sends the browser to the issuer.
pub async fn start(
    State(app): State<App>,
    jar: PrivateCookieJar,
    Query(To { to }): Query<To>,
) -> Result<Response, Response> {
    let (url, begun) = app.provider.begin(of_console(&to).to_owned()).await.map_err(|problem| failed(&problem))?;
    Ok((session::keep(jar, &app.config, &begun), Redirect::to(&url)).into_response())
}

/// Takes the browser back from the issuer.
pub async fn finish(
    State(app): State<App>,
    jar: PrivateCookieJar,
    Query(answer): Query<Answer>,
) -> Result<Response, Response> {
    let begun = session::read::<SigningIn>(&jar, &app.config)
        .ok_or_else(|| failed(&Problem::unauthorized("the sign-in took too long; sign in again")))?;
    let (Some(code), Some(state)) = (answer.code, answer.state) else {
        let error = answer.error.unwrap_or_default().chars().take(100).collect::<String>();
        return Err(failed(&Problem::unauthorized(format!("the issuer did not sign you in: {error}"))));
    };
    let to = begun.to.clone();
    let staff = app.provider.finish(begun, code, &state).await.map_err(|problem| failed(&problem))?;
    info!(by = staff.email, role = staff.role.name(), "signed in");
    let jar = session::forget::<SigningIn>(jar, &app.config);
    let jar = session::keep(jar, &app.config, &Session::begin(staff));
    Ok((jar, Redirect::to(of_console(&to))).into_response())
}

/// Forgets the session.
pub async fn sign_out(
    State(app): State<App>,
    jar: PrivateCookieJar,
    session: Session,
    Form(form): Form<SignOut>,
) -> Result<Response, Refused> {
    session.check(&form.csrf).map_err(|problem| Refused::new(&problem, &session))?;
    let jar = session::forget::<Session>(jar, &app.config);
    Ok((jar, Redirect::to("/client-admin/sign-in")).into_response())
}

fn failed(problem: &Problem) -> Response {
    let content = html! {
        p role="alert" { (problem.detail) }
        p { a href="/client-admin/sign-in" { "Sign in again" } }
    };
    unsigned(problem.status_code(), "You are not signed in", content)
}

#[cfg(test)]
mod tests {
    use super::of_console;

    #[test]
    fn one_comes_back_to_the_console_and_nowhere_else() {
        assert_eq!(of_console("/client-admin/tenants?q=a"), "/client-admin/tenants?q=a");
        for elsewhere in
            ["", "https://evil.example", "//evil.example", "/client-admin-evil", "/client-admin\\@evil", "/other"]
        {
            assert_eq!(of_console(elsewhere), "/client-admin", "{elsewhere}");
        }
    }
}
