//! The fleet: platforms with load and capacity, instances with search and filters, tenants by health.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use easycode_kit::Query;
use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    filter,
    layout::{Page, health, or_none},
    tenants,
};
use crate::{
    App,
    fleet::{
        query::InstanceQuery,
        summary::{self, InstanceSummary, PlatformSummary},
    },
    session::Session,
};

/// The page.
pub async fn page(State(app): State<App>, session: Session, Query(query): Query<InstanceQuery>) -> Markup {
    let tenants: Vec<_> = app.fleet.tenants().iter().map(|one| summary::of_tenant(one, &app.fleet)).collect();
    let platforms: Vec<_> = app.fleet.platforms().iter().map(|one| summary::of_platform(one, &app.fleet)).collect();
    let instances = query.of(&app.fleet);
    let regions = app.fleet.instances().iter().map(|one| one.spec.location.region.clone()).collect();
    let ready = tenants.iter().filter(|one| one.health.is_ready()).count();
    let suspended = tenants.iter().filter(|one| one.state == "Suspended").count();
    let unwell = tenants.iter().filter(|one| !one.health.is_ready() && one.state == "Active");
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    unwell.for_each(|one| *reasons.entry(&one.health.reason).or_default() += 1);
    let content = html! {
        h2 { "Tenants" }
        dl {
            dt { "All" } dd { a href="/client-admin/tenants" { (tenants.len()) } }
            dt { "Ready" } dd { a href="/client-admin/tenants?ready=yes" { (ready) } }
            dt { "Suspended" } dd { a href="/client-admin/tenants?state=Suspended" { (suspended) } }
            dt { "Active and not ready" }
            dd {
                a href="/client-admin/tenants?state=Active&ready=no" { (reasons.values().sum::<usize>()) }
                @for (reason, count) in &reasons {
                    ", " (count) " "
                    a href=(format!("/client-admin/help#{reason}")) { (reason) }
                }
            }
        }
        h2 { "Platforms" }
        (of_platforms(&platforms))
        h2 { "Instances" }
        (form(&query, &regions))
        (filter::count(&instances))
        (of_instances(&instances.items))
        (filter::pages("/client-admin/fleet", &instances, |page| InstanceQuery { page, ..query.clone() }))
    };
    Page::new("Fleet", &session, content).render()
}

fn of_platforms(platforms: &[PlatformSummary]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Shared platforms" }
                thead {
                    tr {
                        th scope="col" { "Name" } th scope="col" { "Region" } th scope="col" { "Version" }
                        th scope="col" { "Load" } th scope="col" { "Health" }
                    }
                }
                tbody {
                    @for one in platforms {
                        tr {
                            th scope="row" { a href=(format!("/client-admin/platforms/{}", one.name)) { (one.name) } }
                            td { (one.region) }
                            td { (or_none(one.version.as_deref())) }
                            td { (load(one)) }
                            td { (health(&one.health)) }
                        }
                    }
                }
            }
        }
    }
}

/// How much of a platform's capacity is taken, and by whom.
#[must_use]
pub fn load(one: &PlatformSummary) -> Markup {
    html! {
        meter aria-label=(format!("Load of {}", one.name)) min="0" max=(one.capacity) value=(one.tenants) {}
        " "
        a href=(tenants::of_platform(&one.name)) { (one.tenants) " of " (one.capacity) " tenants" }
    }
}

fn form(query: &InstanceQuery, regions: &BTreeSet<String>) -> Markup {
    html! {
        form.filter method="get" action="/client-admin/fleet" role="search" aria-label="Instances" {
            (filter::search(&query.q))
            (filter::select("region", "Region", &query.region, regions))
            (filter::select("state", "State", &query.state, ["Active", "Suspended", "Leaving"]))
            (filter::select("ready", "Ready", &query.ready, ["yes", "no"]))
            button { "Show" }
        }
    }
}

fn of_instances(instances: &[InstanceSummary]) -> Markup {
    let now = Timestamp::now();
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Dedicated instances" }
                thead {
                    tr {
                        th scope="col" { "Name" } th scope="col" { "Tenant" } th scope="col" { "Location" }
                        th scope="col" { "Version" } th scope="col" { "Last backup" } th scope="col" { "Health" }
                    }
                }
                tbody {
                    @for one in instances {
                        tr {
                            th scope="row" { a href=(format!("/client-admin/instances/{}", one.name)) { (one.name) } }
                            td { a href=(format!("/client-admin/tenants/{}", one.tenant)) { (one.tenant) } }
                            td { (one.region) }
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

/// How old the last backup is.
#[must_use]
pub fn backup(last: Option<&str>, now: Timestamp) -> Markup {
    html! {
        @match last.and_then(|last| summary::age(last, now).map(|age| (last, age))) {
            Some((last, age)) => { time datetime=(last) { (age) " ago" } }
            None => { span.hint { "none known" } }
        }
    }
}
