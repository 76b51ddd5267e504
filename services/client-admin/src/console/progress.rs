//! How far a change is. It follows live with JavaScript, and reloads itself without.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use easycode_kit::Problem;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use maud::{Markup, html};

use super::layout::{Page, Refused};
use crate::{App, api::ProgressState, session::Session};

/// Seconds between two reloads.
const RELOAD: u32 = 3;

/// The page.
pub async fn page(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
) -> Result<(StatusCode, Markup), Refused> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_name {
        return Err(Refused::new(&Problem::not_found("there is no such tenant"), &session));
    }
    let state = ProgressState::of(&app, &name);
    let relocation = &state.relocation;
    let content = html! {
        div data-events=[(!state.settled).then(|| format!("/client-admin/v1/tenants/{name}/events"))] {
            p role="status" { "Now: " span data-summary { (state.summary) } }
            p data-move { @if let Some(phase) = relocation["phase"].as_str() { "Move: " (phase) ". " (relocation["message"].as_str().unwrap_or_default()) } }
            (conditions(&state.conditions))
        }
        p { a href=(format!("/client-admin/tenants/{name}")) { "Go to the tenant" } }
    };
    let refresh = (!state.settled).then_some(RELOAD);
    let title = format!("Progress of tenant {name}");
    Ok((StatusCode::OK, Page { title: &title, session: Some(&session), refresh, content }.render()))
}

/// Conditions as a table; where something is not well its reason leads to what to do.
#[must_use]
pub fn conditions(conditions: &[Condition]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Conditions" }
                thead { tr { th scope="col" { "Condition" } th scope="col" { "Status" } th scope="col" { "Reason" } th scope="col" { "Message" } } }
                tbody {
                    @for one in conditions {
                        tr {
                            th scope="row" { (one.type_) }
                            td { (one.status) }
                            td { a href=(format!("/client-admin/help#{}", one.reason)) { (one.reason) } }
                            td { (one.message) }
                        }
                    }
                }
            }
        }
    }
}
