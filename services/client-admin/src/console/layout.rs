//! What every page has.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use easycode_kit::Problem;
use maud::{DOCTYPE, Markup, html};

use crate::{fleet::summary::Health, refusal::Refusal, session::Session, staff::Role};

/// A page.
pub struct Page<'a> {
    /// Its title, which is its heading too.
    pub title: &'a str,
    /// Who looks at it; nobody before signing in.
    pub session: Option<&'a Session>,
    /// Seconds after which a browser without JavaScript loads it again.
    pub refresh: Option<u32>,
    /// What is below the heading.
    pub content: Markup,
}

impl<'a> Page<'a> {
    /// One for who is signed in.
    #[must_use]
    pub fn new(title: &'a str, session: &'a Session, content: Markup) -> Self {
        Self { title, session: Some(session), refresh: None, content }
    }

    /// As HTML.
    #[must_use]
    pub fn render(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " – EasyCode console" }
                    link rel="stylesheet" href="/client-admin/assets/console.css";
                    link rel="icon" href="data:,";
                    script src="/client-admin/assets/console.js" defer {}
                    @if let Some(seconds) = self.refresh {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        strong { "EasyCode console" }
                        @if let Some(session) = self.session { (navigation(session)) }
                    }
                    main #content tabindex="-1" {
                        h1 { (self.title) }
                        (self.content)
                    }
                    footer { p { "Everything here is in the cluster's custom resources; " code { "kubectl get easycode" } " shows the same." } }
                }
            }
        }
    }
}

fn navigation(session: &Session) -> Markup {
    html! {
        nav aria-label="Main" {
            ul {
                li { a href="/client-admin/fleet" { "Fleet" } }
                li { a href="/client-admin/tenants" { "Tenants" } }
                @if session.staff.role >= Role::Operations {
                    li { a href="/client-admin/tenants/new" { "Onboard a company" } }
                }
                li { a href="/client-admin/help" { "What to do" } }
            }
        }
        div.who {
            span { (session.staff.email) " (" (session.staff.role.name()) ")" }
            form.inline method="post" action="/client-admin/sign-out" {
                (csrf(session))
                button.plain { "Sign out" }
            }
        }
    }
}

/// The token that ties a form to the session.
#[must_use]
pub fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

/// Ready or not, with the reason, and where it says what to do.
#[must_use]
pub fn health(health: &Health) -> Markup {
    html! {
        @if health.is_ready() {
            span.good { "Ready" }
        } @else {
            span.bad { "Not ready" }
            ": "
            a href=(format!("/client-admin/help#{}", health.reason)) { (health.reason) }
        }
    }
}

/// A text, or a dash for none.
#[must_use]
pub fn or_none(text: Option<&str>) -> Markup {
    html! { @match text { Some(text) if !text.is_empty() => (text), _ => span.hint { "none" } } }
}

/// A page that says why something is not done.
pub struct Refused(pub StatusCode, pub Markup);

impl Refused {
    /// For who is signed in.
    #[must_use]
    pub fn new(problem: &Problem, session: &Session) -> Self {
        let status = problem.status_code();
        let content = html! {
            p role="alert" { (problem.detail) }
            p { a href="/client-admin/fleet" { "Go to the fleet" } }
        };
        Self(status, Page::new(&title(status), session, content).render())
    }

    /// For a refusal of which no form can tell.
    #[must_use]
    pub fn of(refusal: Refusal, session: &Session) -> Self {
        match refusal {
            Refusal::Problem(problem) => Self::new(&problem, session),
            Refusal::Conflicts(conflicts) => {
                let fields: Vec<_> =
                    conflicts.iter().map(|one| format!("{} ({})", one.field, one.managers.join(", "))).collect();
                Self::new(&Problem::conflict(format!("other managers own: {}", fields.join("; "))), session)
            }
            Refusal::Invalid(faults) => {
                let told: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
                Self::new(&Problem::invalid(told.join("; ")), session)
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

fn title(status: StatusCode) -> String {
    match status {
        StatusCode::FORBIDDEN => "You may not do that",
        StatusCode::NOT_FOUND => "There is no such thing",
        StatusCode::PRECONDITION_FAILED => "It was changed meanwhile",
        StatusCode::SERVICE_UNAVAILABLE => "Try again",
        _ => "That was not done",
    }
    .to_owned()
}

/// For a path that is none.
pub async fn nothing_here(session: Session) -> Refused {
    Refused::new(&Problem::not_found("there is no such page"), &session)
}
