//! The company's people, and those who are to be.

use std::collections::BTreeSet;

use axum::{extract::Query, http::HeaderMap, response::Response};
use easycode_kit::{page::PageQuery, problem::Violation};
use maud::{Markup, html};

use super::{
    controls::{Field, errors_of, wrong},
    failure::Failure,
    forms::Fields,
    layout::Frame,
    more,
    role_boxes::{chosen, role_boxes},
    visitor::{Administrator, Visitor},
    within,
};
use crate::{
    accounts::{self, NewUser, Status},
    cookies,
    invitations::Link,
    roles::Assignment,
};

const HERE: &str = "/user/people";

/// A page of people, and the form to invite one.
pub async fn show(Administrator(visitor): Administrator, Query(page): Query<PageQuery>) -> Result<Response, Failure> {
    let body = html! { (table(&visitor, &page).await?) (invitation(&visitor, &NewUser::default(), &[]).await) };
    Ok(Frame::of(&visitor, HERE, "People").show(&body))
}

/// Invites someone, and shows the link.
pub async fn invite(
    Administrator(visitor): Administrator,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    let wanted = || NewUser {
        email: fields.get("email").to_owned(),
        name: fields.get("name").to_owned(),
        roles: chosen(&fields),
    };
    let outcome = match within(&fields, &["email", "name"]) {
        Ok(()) => accounts::invite(&visitor.member, wanted()).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(invited) => Ok(show_link(&visitor, &headers, &invited.user.email, &invited.invitation)),
        Err(problem) => {
            let errors = errors_of(&problem, &["email", "name", "roles"]);
            let body = invitation(&visitor, &wanted(), &errors).await;
            let frame = Frame { errors: &errors, ..Frame::of(&visitor, HERE, "Invite someone") };
            Ok(frame.answer(problem.status_code(), &body))
        }
    }
}

/// The link, which is shown this once.
pub fn show_link(visitor: &Visitor, headers: &HeaderMap, email: &str, link: &Link) -> Response {
    let scheme = if cookies::is_local(headers) { "http" } else { "https" };
    let host = cookies::host(headers).unwrap_or_default();
    let body = html! {
        p { "Give this link to " strong { (email) } ". It is shown this once, counts until " (visitor.time(link.expires_at)) ", and can be followed once." }
        div class="field" {
            label for="link" { "Link" }
            textarea id="link" class="code" rows="3" readonly { (scheme) "://" (host) (link.path.reveal()) }
        }
        p { a href=(HERE) { "Back to the people" } }
    };
    Frame::of(visitor, HERE, "Invitation").show(&body)
}

async fn table(visitor: &Visitor, page: &PageQuery) -> Result<Markup, Failure> {
    let page = accounts::page(&visitor.member, page).await?;
    Ok(html! {
        div class="table" tabindex="0" role="region" aria-label="People" {
            table {
                caption { "Who works with the company" }
                thead {
                    tr { th scope="col" { "Name" } th scope="col" { "Address" } th scope="col" { "State" } th scope="col" { "Roles" } th scope="col" { "Last here" } }
                }
                tbody {
                    @for user in &page.items {
                        tr {
                            th scope="row" { a href={ (HERE) "/" (user.id) } { (user.name) } }
                            td { (user.email) }
                            td { (state(user.status)) @if user.locked { ", locked for a while" } }
                            td {
                                @for (at, given) in user.roles.iter().enumerate() {
                                    @if at > 0 { ", " } (given.assignment.role) @if !given.active { " (not entitled)" }
                                }
                            }
                            td { @match user.last_used_at { Some(at) => (visitor.time(at)), None => "never" } }
                        }
                    }
                }
            }
        }
        (more(HERE, page.next.as_deref()))
    })
}

/// A state in words.
pub fn state(status: Status) -> &'static str {
    match status {
        Status::Invited => "invited",
        Status::Active => "active",
        Status::Disabled => "disabled",
    }
}

async fn invitation(visitor: &Visitor, wanted: &NewUser, errors: &[Violation]) -> Markup {
    let roles: &BTreeSet<Assignment> = &wanted.roles;
    html! {
        h2 { "Invite someone" }
        form method="post" action=(HERE) {
            (visitor.token.field())
            (Field::new("email", "Email address", errors).line("email", "off", &wanted.email))
            (Field::new("name", "Name", errors).line("text", "off", &wanted.name))
            (wrong("roles", errors))
            div id="roles" { (role_boxes(&visitor.member, roles).await) }
            button class="main" { "Invite" }
        }
    }
}
