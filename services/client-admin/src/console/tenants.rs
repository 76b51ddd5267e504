//! The list of tenants, with search and filters.

use std::collections::BTreeSet;

use axum::extract::State;
use easycode_kit::Query;
use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::{Page, health, or_none},
    overview::backup,
};
use crate::{
    App,
    fleet::query::{TenantPage, TenantQuery},
    session::Session,
};

/// The page.
pub async fn page(State(app): State<App>, session: Session, Query(query): Query<TenantQuery>) -> Markup {
    let found = query.of(&app.fleet);
    let platforms: Vec<_> = app.fleet.platforms().iter().filter_map(|one| one.metadata.name.clone()).collect();
    let regions = app.fleet.tenants().iter().filter_map(|one| one.spec.region.clone()).collect::<BTreeSet<_>>();
    let regions: Vec<_> = regions.into_iter().collect();
    let content = html! {
        (filter(&query, &platforms, &regions))
        p role="status" { (found.total) " found" @if found.pages > 1 { ", page " (found.page) " of " (found.pages) } }
        (list(&found))
        (pages(&query, &found))
    };
    Page::new("Tenants", &session, content).render()
}

fn filter(query: &TenantQuery, platforms: &[String], regions: &[String]) -> Markup {
    let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    html! {
        form.filter method="get" action="/client-admin/tenants" role="search" aria-label="Tenants" {
            div { label for="q" { "Name or company" } input #q type="search" name="q" value=(query.q) maxlength="120"; }
            (select("model", "Model", &query.model, &texts(&["Shared", "Dedicated"])))
            (select("platform", "Platform", &query.platform, platforms))
            (select("region", "Region", &query.region, regions))
            (select("state", "State", &query.state, &texts(&["Active", "Suspended", "Leaving"])))
            (select("ready", "Ready", &query.ready, &texts(&["yes", "no"])))
            button { "Show" }
        }
    }
}

fn select(name: &str, label: &str, chosen: &str, options: &[String]) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "any" }
                @for one in options { option value=(one) selected[one == chosen] { (one) } }
            }
        }
    }
}

fn list(found: &TenantPage) -> Markup {
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

fn pages(query: &TenantQuery, found: &TenantPage) -> Markup {
    let link = |page: usize| {
        let query = TenantQuery { page, ..query.clone() };
        format!("/client-admin/tenants?{}", serde_urlencoded::to_string(query).unwrap_or_default())
    };
    html! {
        @if found.pages > 1 {
            nav aria-label="Pages" {
                @if found.page > 1 { a rel="prev" href=(link(found.page - 1)) { "Previous page" } " " }
                @if found.page < found.pages { a rel="next" href=(link(found.page + 1)) { "Next page" } }
            }
        }
    }
}
