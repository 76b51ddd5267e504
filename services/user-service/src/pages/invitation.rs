//! Following an invitation: one chooses a password.

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use easycode_kit::{App, problem::Violation};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    controls::{Field, errors_of},
    failure::Failure,
    forms::{Fields, Guest},
    layout::Frame,
    sign_in::{enter, with_cookies},
    within,
};
use crate::{
    invitations::{self, Invitee},
    secret::Secret,
};

const TITLE: &str = "Welcome";

/// What is in the link.
#[derive(Deserialize)]
pub struct Link {
    token: Secret,
}

/// The form, for whom the link is for.
pub async fn show(State(app): State<App>, guest: Guest, Query(link): Query<Link>) -> Result<Response, Failure> {
    let (realm, invitee) = invitations::invitee(&app, &link.token).await?;
    let body = form(&guest, &realm.context.display_name, realm.tenant(), &invitee, &link.token, &invitee.name, &[]);
    Ok(with_cookies(Frame::bare(TITLE).show(&body), guest.cookie))
}

/// Sets the password, and signs in.
pub async fn submit(
    State(app): State<App>,
    guest: Guest,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Failure> {
    within(&fields, &["name", "password", "token"])?;
    let (token, name, password) = (fields.secret("token"), fields.get("name"), fields.secret("password"));
    let accepted = invitations::accept(&app, &token, Some(name), &password, &super::client(&headers)).await;
    let problem = match accepted {
        Ok(opened) => return enter(&headers, &opened),
        Err(problem) => problem,
    };
    let (realm, invitee) = invitations::invitee(&app, &token).await?;
    let errors = errors_of(&problem, &["password", "name"]);
    let body = form(&guest, &realm.context.display_name, realm.tenant(), &invitee, &token, name, &errors);
    Ok(Frame { errors: &errors, ..Frame::bare(TITLE) }.answer(problem.status_code(), &body))
}

fn form(
    guest: &Guest,
    company: &str,
    tenant: &str,
    invitee: &Invitee,
    token: &Secret,
    name: &str,
    errors: &[Violation],
) -> Markup {
    html! {
        p { "You are invited to work with " strong { (company) } ". You will sign in with company " strong { (tenant) } ", this address, and the password that you choose here." }
        form method="post" action="/user/invitation" {
            (guest.token.field())
            input type="hidden" name="token" value=(token.reveal());
            div class="field" {
                label for="email" { "Email address" }
                input id="email" name="email" type="email" autocomplete="username" readonly value=(invitee.email);
            }
            (Field::new("name", "Your name", errors).line("text", "name", name))
            (Field::new("password", "Password", errors)
                .hint("A few words that nobody would guess; the longer, the better.")
                .line("password", "new-password", ""))
            button class="main" { "Set the password and sign in" }
        }
    }
}
