//! A platform as a whole.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    layout::{Page, Refused, health, or_none},
    overview::load,
    progress::conditions,
    tenants,
};
use crate::{
    App,
    fleet::{query::TenantQuery, summary},
    session::Session,
};

/// The page.
pub async fn page(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    let platform = app.fleet.known_platform(&name).map_err(|problem| Refused::new(&problem, &session))?;
    let line = summary::of_platform(&platform, &app.fleet);
    let status = platform.status.clone().unwrap_or_default();
    let wanted = &platform.spec.release;
    let found = TenantQuery { platform: name.clone(), ..TenantQuery::default() }.of(&app.fleet);
    let content = html! {
        p { (health(&line.health)) }
        @if !line.health.is_ready() { p.note { (line.health.message) } }
        dl {
            dt { "Region" } dd { (line.region) }
            dt { "Domain" } dd { (line.domain) }
            dt { "Namespace" } dd { (or_none(status.namespace.as_deref())) }
            dt { "Version" } dd { (or_none(line.version.as_deref())) }
            dt { "Release" }
            dd { (wanted) @if status.release.as_ref() != Some(wanted) { ", and still runs " (or_none(status.release.as_deref())) } }
            dt { "Load and capacity" } dd { (load(&line)) }
        }
        p.hint { "The console shows platforms and does not change them: that is done where their resources are kept." }
        h2 { "Conditions" }
        (conditions(&status.conditions))
        h2 { "Tenants" }
        (tenants::list(&found))
        @if found.pages > 1 { p { a href=(tenants::of_platform(&name)) { "All " (found.total) " tenants of " (name) } } }
    };
    Ok(Page::new(&format!("Platform {name}"), &session, content).render())
}
