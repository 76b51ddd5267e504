//! What was done with the company's users, by whom.

use axum::{extract::Query, response::Response};
use easycode_kit::page::PageQuery;
use maud::html;

use super::{failure::Failure, layout::Frame, more, visitor::Administrator};
use crate::events;

const HERE: &str = "/user/events";

/// A page of the trail.
pub async fn show(Administrator(visitor): Administrator, Query(page): Query<PageQuery>) -> Result<Response, Failure> {
    let page = events::page(&visitor.member, &page).await?;
    let body = html! {
        div class="table" tabindex="0" role="region" aria-label="Events" {
            table {
                caption { "Oldest first" }
                thead {
                    tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "By" } th scope="col" { "Details" } }
                }
                tbody {
                    @for event in &page.items {
                        tr {
                            td { (visitor.time(event.at)) }
                            th scope="row" { (event.act) }
                            td { (event.actor) }
                            td class="code" { (event.detail) }
                        }
                    }
                }
            }
        }
        (more(HERE, page.next.as_deref()))
    };
    Ok(Frame::of(&visitor, HERE, "Events").show(&body))
}
