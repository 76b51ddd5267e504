//! The list of tenants, with search and filters.

use std::collections::BTreeSet;

use axum::extract::State;
use easycode_kit::Query;
use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    filter,
    layout::{Page, health, or_none},
    overview::backup,
};
use crate::{
    App,
    fleet::{
        query::{Found, TenantQuery},
        summary::TenantSummary,
    },
    session::Session,
};

/// The page.
pub async fn page(State(app): State<App>, session: Session, Query(query): Query<TenantQuery>) -> Markup {
    let found = query.of(&app.fleet);
    let platforms: Vec<_> = app.fleet.platforms().iter().filter_map(|one| one.metadata.name.clone()).collect();
    let regions = app.fleet.tenants().iter().filter_map(|one| one.spec.region.clone()).collect();
    let content = html! {
        (form(&query, &platforms, &regions))
        (filter::count(&found))
        (list(&found))
        (filter::pages("/client-admin/tenants", &found, |page| TenantQuery { page, ..query.clone() }))
    };
    Page::new("Tenants", &session, content).render()
}

/// Where the tenants of a platform are listed.
#[must_use]
pub fn of_platform(name: &str) -> String {
    format!("/client-admin/tenants?platform={name}")
}

fn form(query: &TenantQuery, platforms: &[String], regions: &BTreeSet<String>) -> Markup {
    html! {
        form.filter method="get" action="/client-admin/tenants" role="search" aria-label="Tenants" {
            (filter::search(&query.q))
            (filter::select("model", "Model", &query.model, ["Shared", "Dedicated"]))
            (filter::select("platform", "Platform", &query.platform, platforms))
            (filter::select("region", "Region", &query.region, regions))
            (filter::select("state", "State", &query.state, ["Active", "Suspended", "Leaving"]))
            (filter::select("ready", "Ready", &query.ready, ["yes", "no"]))
            button { "Show" }
        }
    }
}

/// Tenants as a table.
#[must_use]
pub fn list(found: &Found<TenantSummary>) -> Markup {
    let now = Timestamp::now();
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Tenants, by name" }
                thead {
                    tr {
                        th scope="col" { "Name" } th scope="col" { "Company" } th scope="col" { "State" }
                        th scope="col" { "Home" } th scope="col" { "Version" } th scope="col" { "Last backup" } th scope="col" { "Health" }
                    }
                }
                tbody {
                    @for one in &found.items {
                        tr {
                            th scope="row" { a href=(format!("/client-admin/tenants/{}", one.name)) { (one.name) } }
                            td { (one.display_name) }
                            td { @if one.leaving { "Leaving" } @else { (one.state) } }
                            td { (one.model) ": " (or_none(one.platform.as_deref().or(one.instance.as_deref()))) }
                            td { (or_none(one.version.as_deref())) }
                            td { (backup(one.last_backup.as_deref(), now)) }
                            td { (health(&one.health)) }
                        }
                    }
                }
            }
        }
    }
}
