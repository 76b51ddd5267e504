//! One of the company's people.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Query},
    http::HeaderMap,
    response::Response,
};
use easycode_kit::{Problem, problem::Violation};
use maud::{Markup, html};
use uuid::Uuid;

use super::{
    Done,
    controls::{Field, errors_of, wrong},
    failure::Failure,
    forms::Fields,
    layout::Frame,
    people::{show_link, state},
    role_boxes::{chosen, role_boxes},
    visitor::{Administrator, Visitor},
    within,
};
use crate::{
    accounts::{self, Change, Status, User},
    invitations,
    roles::Assignment,
    sessions,
};

const PEOPLE: &str = "/user/people";

/// What a person is to be, as the form has it.
struct Wanted {
    name: String,
    status: Status,
    roles: BTreeSet<Assignment>,
    version: i32,
}

impl Wanted {
    fn as_is(user: &User) -> Self {
        let roles = user.roles.iter().map(|given| given.assignment.clone()).collect();
        Self { name: user.name.clone(), status: user.status, roles, version: user.version }
    }
}

/// The page.
pub async fn show(
    Administrator(visitor): Administrator,
    Path(id): Path<Uuid>,
    Query(done): Query<Done>,
) -> Result<Response, Failure> {
    let user = accounts::read(&visitor.member, id).await?;
    let notice = match done.done.as_str() {
        "saved" => Some("Saved. What was taken away ends everywhere within five minutes."),
        "unlocked" => Some("The person can sign in again."),
        "signed-out" => Some("All sessions have ended."),
        _ => None,
    };
    let body = body(&visitor, &user, &Wanted::as_is(&user), &[]).await;
    Ok(Frame { notice, ..Frame::of(&visitor, PEOPLE, &user.name) }.show(&body))
}

/// Changes name, state and roles of the version that was seen.
pub async fn change(
    Administrator(visitor): Administrator,
    Path(id): Path<Uuid>,
    fields: Fields,
) -> Result<Response, Failure> {
    let status = if fields.get("disabled") == "yes" { Status::Disabled } else { Status::Active };
    let version = fields.get("version").parse().unwrap_or_default();
    let wanted = Wanted { name: fields.get("name").to_owned(), status, roles: chosen(&fields), version };
    let outcome = match within(&fields, &["name"]) {
        Ok(()) => {
            let change = Change { name: wanted.name.clone(), status, roles: wanted.roles.clone() };
            accounts::change(&visitor.member, id, change, Some(version)).await
        }
        Err(problem) => Err(problem),
    };
    let Err(problem) = outcome else { return Ok(super::to(&format!("{PEOPLE}/{id}?done=saved"))) };
    failed(&visitor, id, Some(wanted), &problem).await
}

/// Does one thing with the person, as the path says.
pub async fn act(
    Administrator(visitor): Administrator,
    Path((id, act)): Path<(Uuid, String)>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    let member = &visitor.member;
    let outcome = match act.as_str() {
        "unlock" => accounts::unlock(member, id).await.map(|()| super::to(&format!("{PEOPLE}/{id}?done=unlocked"))),
        "sign-out" => {
            sessions::end_all_of(member, id).await.map(|()| super::to(&format!("{PEOPLE}/{id}?done=signed-out")))
        }
        "link" => {
            let user = accounts::read(member, id).await?;
            invitations::renew(member, id).await.map(|link| show_link(&visitor, &headers, &user.email, &link))
        }
        "remove" if fields.get("sure") != "yes" => Err(Problem::invalid("sure: tick the box to remove the person")),
        "remove" => accounts::remove(member, id, None).await.map(|()| super::to(PEOPLE)),
        _ => Err(Problem::not_found("there is no such page")),
    };
    match outcome {
        Ok(response) => Ok(response),
        Err(problem) => failed(&visitor, id, None, &problem).await,
    }
}

async fn failed(visitor: &Visitor, id: Uuid, wanted: Option<Wanted>, problem: &Problem) -> Result<Response, Failure> {
    let user = accounts::read(&visitor.member, id).await?;
    let errors = errors_of(problem, &["name", "roles", "sure"]);
    let body = body(visitor, &user, &wanted.unwrap_or_else(|| Wanted::as_is(&user)), &errors).await;
    Ok(Frame { errors: &errors, ..Frame::of(visitor, PEOPLE, &user.name) }.answer(problem.status_code(), &body))
}

async fn body(visitor: &Visitor, user: &User, wanted: &Wanted, errors: &[Violation]) -> Markup {
    let here = format!("{PEOPLE}/{}", user.id);
    let act = |act: &str, text: &str| {
        html! { form method="post" action={ (here) "/" (act) } { (visitor.token.field()) button { (text) } } }
    };
    html! {
        p { (user.email) ", " (state(user.status)) @if user.locked { ", locked for a while after wrong passwords" } ", since " (visitor.time(user.created_at)) }
        form method="post" action=(here) {
            (visitor.token.field())
            input type="hidden" name="version" value=(wanted.version);
            (Field::new("name", "Name", errors).line("text", "off", &wanted.name))
            (wrong("roles", errors))
            div id="roles" { (role_boxes(&visitor.member, &wanted.roles).await) }
            (super::controls::tick("disabled", "yes", "disabled", wanted.status == Status::Disabled, "Disabled: can't sign in, and is signed out everywhere"))
            button class="main" { "Save" }
        }
        p { a href=(here) { "Look at it as it is now" } }
        h2 { "Access" }
        div class="buttons" {
            @if user.locked { (act("unlock", "Unlock")) }
            (act("link", "Make a new link"))
            (act("sign-out", "Sign out everywhere"))
        }
        h2 { "Remove" }
        form method="post" action={ (here) "/remove" } {
            (visitor.token.field())
            (wrong("sure", errors))
            (super::controls::tick("sure", "yes", "sure", false, "Yes, remove this person from the company"))
            button { "Remove" }
        }
    }
}
