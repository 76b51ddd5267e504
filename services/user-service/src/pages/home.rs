//! One's own page: who one is, what one may do, where one is signed in.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use easycode_contract::runtime::path_prefix;
use easycode_kit::problem::Violation;
use maud::{Markup, html};
use uuid::Uuid;

use super::{
    Done,
    controls::{Field, errors_of},
    failure::Failure,
    forms::Fields,
    layout::Frame,
    notifications::notifications,
    visitor::Visitor,
    within,
};
use crate::{
    accounts::{self, User},
    sessions, sign_in,
};

const HERE: &str = "/user/";

/// The page.
pub async fn show(visitor: Visitor, Query(done): Query<Done>) -> Result<Response, Failure> {
    let body = body(&visitor, &[]).await?;
    let notice = match done.done.as_str() {
        "password" => Some("Your password is changed; all other sessions have ended."),
        "session" => Some("The session has ended."),
        _ => None,
    };
    Ok(Frame { notice, ..Frame::of(&visitor, HERE, "Your page") }.show(&body))
}

/// Changes one's own password.
pub async fn change_password(visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let outcome = match within(&fields, &["current", "password"]) {
        Ok(()) => {
            let (current, new) = (fields.secret("current"), fields.secret("password"));
            sign_in::change_password(&visitor.member, &current, &new).await
        }
        Err(problem) => Err(problem),
    };
    let Err(problem) = outcome else { return Ok(super::to("/user/?done=password")) };
    let errors = errors_of(&problem, &["current", "password"]);
    let body = body(&visitor, &errors).await?;
    Ok(Frame { errors: &errors, ..Frame::of(&visitor, HERE, "Your page") }.answer(problem.status_code(), &body))
}

/// Ends one of one's own sessions.
pub async fn end_session(visitor: Visitor, Path(id): Path<Uuid>, _: Fields) -> Result<Response, Failure> {
    sessions::end_one(&visitor.member, id).await?;
    Ok(super::to("/user/?done=session"))
}

async fn body(visitor: &Visitor, errors: &[Violation]) -> Result<Markup, Failure> {
    let user = accounts::read(&visitor.member, visitor.member.account()?).await?;
    let sessions = sessions::list(&visitor.member).await?;
    Ok(html! {
        p { "You are " strong { (user.name) } " (" (user.email) "), and work for " strong { (visitor.member.context.display_name) } "." }
        form method="post" action="/user/sign-out" { (visitor.token.field()) button { "Sign out" } }
        (notifications(visitor, &user).await)
        (services(visitor, &user))
        h2 { "Sessions" }
        div class="table" tabindex="0" role="region" aria-label="Sessions" {
            table {
                caption { "Where you are signed in" }
                thead { tr { th scope="col" { "Browser" } th scope="col" { "Since" } th scope="col" { "Last used" } th scope="col" { "End" } } }
                tbody {
                    @for session in &sessions {
                        tr {
                            th scope="row" { (session.user_agent.as_deref().unwrap_or("unknown")) @if session.current { " (this one)" } }
                            td { (visitor.time(session.created_at)) }
                            td { (visitor.time(session.used_at)) }
                            td {
                                form method="post" action={ "/user/sessions/" (session.id) "/end" } {
                                    (visitor.token.field())
                                    button aria-label={ "End the session of " (session.user_agent.as_deref().unwrap_or("unknown")) ", " (session.id) } { "End" }
                                }
                            }
                        }
                    }
                }
            }
        }
        h2 { "Password" }
        form method="post" action="/user/password" {
            (visitor.token.field())
            input type="hidden" name="email" autocomplete="username" value=(user.email);
            (Field::new("current", "Present password", errors).line("password", "current-password", ""))
            (Field::new("password", "New password", errors)
                .hint("A few words that nobody would guess; the longer, the better.")
                .line("password", "new-password", ""))
            button class="main" { "Change the password" }
        }
    })
}

fn services(visitor: &Visitor, user: &User) -> Markup {
    let entitled = visitor.member.context.entitlements.keys();
    let roles = |service: &str| {
        let given = user.roles.iter().filter(|one| one.assignment.service == service);
        given.map(|one| one.assignment.role.as_str()).collect::<Vec<_>>().join(", ")
    };
    html! {
        h2 { "Services" }
        div class="table" tabindex="0" role="region" aria-label="Services" {
            table {
                caption { "What your company uses, and what you may do there" }
                thead { tr { th scope="col" { "Service" } th scope="col" { "Your roles" } } }
                tbody {
                    @for service in entitled {
                        tr {
                            th scope="row" { a href={ "/" (path_prefix(service)) "/v1/openapi.json" } { (service) } }
                            td { @let roles = roles(service); @if roles.is_empty() { "none" } @else { (roles) } }
                        }
                    }
                }
            }
        }
    }
}
