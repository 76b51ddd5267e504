//! What someone is told on their own page, as far as the company wants them to be: what waits for them, and what concerns their account.

use easycode_kit::Problem;
use maud::{Markup, html};
use serde::Deserialize;

use super::{services::Services, visitor::Visitor};
use crate::{
    accounts::User,
    events::{self, Event},
};

/// The service in which people approve what others want to buy.
const PROCUREMENT: &str = "procurement";

/// A requisition that waits.
#[derive(Deserialize)]
struct Waiting {
    title: String,
    total: String,
    currency: String,
}

/// All of it, if there is anything.
pub async fn notifications(visitor: &Visitor, user: &User) -> Markup {
    let wanted = |name: &str| {
        let settings = visitor.member.context.settings.get("ui");
        settings.and_then(|ui| ui["notifications"][name].as_bool()).unwrap_or(true)
    };
    let waiting = if wanted("approvals") { waiting(visitor, user).await } else { Ok(Vec::new()) };
    let concerns = if wanted("security") { events::of_concern(&visitor.member).await } else { Ok(Vec::new()) };
    let nothing = |empty: Result<bool, &Problem>| empty.unwrap_or(false);
    if nothing(waiting.as_ref().map(Vec::is_empty)) && nothing(concerns.as_ref().map(Vec::is_empty)) {
        return html! {};
    }
    html! {
        section aria-labelledby="notifications" {
            h2 id="notifications" { "Notifications" }
            ul {
                @match &waiting {
                    Ok(waiting) => @for one in waiting {
                        li { "Waits for your approval: " strong { (one.title) } ", " (one.total) " " (one.currency) }
                    },
                    Err(problem) => li { "What waits for your approval can't be told right now: " (problem.detail) },
                }
                @match &concerns {
                    Ok(concerns) => @for event in concerns { li { (visitor.time(event.at)) ": " (in_words(event)) } },
                    Err(problem) => li { "What concerns your account can't be told right now: " (problem.detail) },
                }
            }
        }
    }
}

async fn waiting(visitor: &Visitor, user: &User) -> Result<Vec<Waiting>, Problem> {
    if !user.roles.iter().any(|given| given.active && given.assignment.service == PROCUREMENT) {
        return Ok(Vec::new());
    }
    let answer = Services::of(&visitor.member).await?.get(PROCUREMENT, "/requisitions/awaiting").await?;
    serde_json::from_value(answer).map_err(|error| {
        tracing::warn!(%error, "what waits for approvals is not understood");
        Problem::unavailable("Procurement answers otherwise than expected")
    })
}

fn in_words(event: &Event) -> &'static str {
    match event.act.as_str() {
        "user.locked" => "your account was locked for a while, after wrong passwords",
        "user.password-changed" => "your password was changed",
        "user.changed" => "an administrator changed your name, state or roles",
        "user.linked" => "you can sign in at your company's identity provider",
        _ => "a token of one of your sessions was used twice, so that session was ended",
    }
}
