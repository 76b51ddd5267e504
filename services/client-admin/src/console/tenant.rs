//! A tenant, and an instance, as a whole.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
};
use easycode_crds::Tenant;
use easycode_kit::Problem;
use jiff::Timestamp;
use kube::ResourceExt;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    layout::{Page, Refused, csrf, health, or_none},
    overview::backup,
    progress::conditions,
};
use crate::{
    App,
    api::tenants::invite_administrator,
    fleet::summary::{self, TenantSummary},
    history::{self, History},
    invitation::Invitation,
    session::Session,
    staff::Role,
};

/// What the form of an invitation sends.
#[derive(Deserialize)]
pub struct Invitee {
    csrf: String,
    email: String,
}

/// The tenant's page.
pub async fn page(State(app): State<App>, session: Session, Path(name): Path<String>) -> Result<Markup, Refused> {
    shown(&app, &session, &name, None).await
}

/// Makes an invitation and shows its link, this once.
pub async fn invite(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(invitee): Form<Invitee>,
) -> Result<Markup, Refused> {
    let refused = |problem: Problem| Refused::new(&problem, &session);
    session.require(Role::Operations).map_err(refused)?;
    session.check(&invitee.csrf).map_err(refused)?;
    let tenant = app.fleet.known_tenant(&name).map_err(refused)?;
    let made = invite_administrator(&app, &tenant, &invitee.email, &session.staff).await.map_err(refused)?;
    shown(&app, &session, &name, Some((&invitee.email, &made))).await
}

async fn shown(
    app: &App,
    session: &Session,
    name: &str,
    invitation: Option<(&str, &Invitation)>,
) -> Result<Markup, Refused> {
    let refused = |problem: Problem| Refused::new(&problem, session);
    let tenant = app.fleet.known_tenant(name).map_err(refused)?;
    let line = summary::of_tenant(&tenant, &app.fleet);
    let known = history::of_tenant(app, &tenant).await.map_err(refused)?;
    let title = format!("Tenant {name}");
    let content = html! {
        p { strong { (line.display_name) } " " (health(&line.health)) }
        @if !line.health.is_ready() { p.note { (line.health.message) } }
        @if let Some((email, made)) = invitation { (link(email, made)) }
        (actions(session, &line))
        (details(&line, &tenant))
        (entitlements(&tenant))
        (administrators(session, &tenant, name))
        h2 { "Conditions" }
        (conditions(tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()))
        (moves(&tenant))
        (past(&known, name))
    };
    Ok(Page::new(&title, session, content).render())
}

fn link(email: &str, made: &Invitation) -> Markup {
    html! {
        div.note role="status" {
            p { "Invitation of " (email) ", until " (made.expires_at) ". It is shown this once: hand it over by a way that only they read." }
            p { code { (made.link) } }
        }
    }
}

fn actions(session: &Session, line: &TenantSummary) -> Markup {
    let to = |what: &str| format!("/client-admin/tenants/{}/{what}", line.name);
    html! {
        @if session.staff.role >= Role::Operations && !line.leaving {
            nav.actions aria-label="Actions" {
                a.button href=(to("change")) { "Change" }
                @if line.model == "Shared" { a.button.plain href=(to("dedicate")) { "Give it an instance of its own" } }
                @if line.state == "Active" { a.button.plain href=(to("suspend")) { "Suspend" } }
                @else { a.button.plain href=(to("resume")) { "Resume" } }
                a.button.plain href=(to("progress")) { "Progress" }
                @if session.staff.role >= Role::Administrator { a.button.danger href=(to("offboard")) { "Offboard" } }
            }
        }
    }
}

fn details(line: &TenantSummary, tenant: &Tenant) -> Markup {
    let spec = &tenant.spec;
    let status = tenant.status.clone().unwrap_or_default();
    html! {
        h2 { "Details" }
        dl {
            dt { "State" } dd { @if line.leaving { "being offboarded" } @else { (line.state) } }
            dt { "Model" } dd { (line.model) }
            dt { "Region" } dd { (or_none(line.region.as_deref())) }
            dt { "Platform" }
            dd {
                @match &line.platform {
                    Some(name) => { a href=(format!("/client-admin/platforms/{name}")) { (name) } }
                    None => { (or_none(None)) }
                }
            }
            dt { "Instance" }
            dd {
                @match &line.instance {
                    Some(name) => { a href=(format!("/client-admin/instances/{name}")) { (name) } }
                    None => { (or_none(None)) }
                }
            }
            dt { "Version" } dd { (or_none(line.version.as_deref())) }
            dt { "Endpoint" } dd { (or_none(line.endpoint.as_deref())) }
            dt { "Database role" } dd { (or_none(status.database_role.as_deref())) }
            dt { "Last backup" } dd { (backup(line.last_backup.as_deref(), Timestamp::now())) }
            dt { "Backup terms" }
            dd { "loses at most " (spec.backup.rpo) ", back within " (spec.backup.rto) ", kept for " (spec.backup.retention) }
            dt { "Data use" }
            dd { "analytics " (format!("{:?}", spec.data_use.analytics)) ", AI training " (format!("{:?}", spec.data_use.ai_training)) ", agreement " (or_none(spec.data_use.agreement.as_deref())) }
            dt { "Limits" }
            dd { (spec.limits.users) " users, " (spec.limits.storage) ", " (spec.limits.requests_per_second) " requests/s, " (spec.limits.connections) " connections, statements of " (spec.limits.statement_timeout) }
            dt { "On offboarding" } dd { (format!("{:?}", spec.deletion_policy)) }
        }
    }
}

fn entitlements(tenant: &Tenant) -> Markup {
    let status = tenant.status.clone().unwrap_or_default();
    let data = |service: &str| status.services.iter().find(|one| one.service == service).cloned();
    let withdrawn = status.services.iter().filter(|one| !one.entitled && one.retained_until.is_some());
    html! {
        h2 { "Entitlements" }
        @if tenant.spec.entitlements.is_empty() { p { "none" } } @else {
            div.scroll tabindex="0" {
                table {
                    caption { "Services it may use" }
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Modules" } th scope="col" { "Schema" } } }
                    tbody {
                        @for one in &tenant.spec.entitlements {
                            tr {
                                th scope="row" { (one.service) }
                                td { (or_none(Some(&one.modules.join(", ")))) }
                                td { @match data(&one.service) { Some(data) => { "version " (data.schema_version) }, None => { span.hint { "none yet" } } } }
                            }
                        }
                    }
                }
            }
        }
        @for one in withdrawn {
            p.note { "Data of " (one.service) ", which was withdrawn, is kept until " (one.retained_until.as_deref().unwrap_or_default()) "." }
        }
    }
}

fn administrators(session: &Session, tenant: &Arc<Tenant>, name: &str) -> Markup {
    html! {
        h2 { "First administrators" }
        @if tenant.spec.administrators.is_empty() { p { "none" } }
        ul {
            @for one in &tenant.spec.administrators {
                li {
                    (one.email) @if let Some(person) = &one.name { ", " (person) }
                    @if session.staff.role >= Role::Operations {
                        " "
                        form.inline method="post" action=(format!("/client-admin/tenants/{name}/invitations")) {
                            (csrf(session))
                            input type="hidden" name="email" value=(one.email);
                            button.plain aria-label=(format!("Make an invitation link for {}", one.email)) { "Make an invitation link" }
                        }
                    }
                }
            }
        }
    }
}

fn moves(tenant: &Tenant) -> Markup {
    let status = tenant.status.clone().unwrap_or_default();
    html! {
        @if let Some(one) = &status.relocation {
            h2 { "Move" }
            p { (format!("{:?}", one.phase)) ": from " (one.from.kind) " " (one.from.name) " to " (one.to.kind) " " (one.to.name) ". " (one.message.as_deref().unwrap_or_default()) }
            @if let Some(downtime) = one.write_downtime_ms { p { "Nothing could be written for " (downtime) " ms." } }
        }
        @for former in &status.former_homes {
            p.note { "Its data is kept at " (former.kind) " " (former.name) ", which it left, until " (former.retained_until) "." }
        }
    }
}

fn past(known: &History, name: &str) -> Markup {
    html! {
        h2 { "History" }
        p.hint {
            "The newest records of the audit trail, what the cluster still knows of events, and since when conditions are what they are. "
            "The whole trail, of homes that it left long ago too: " code { "easycode audit --tenant " (name) }
        }
        @for gap in &known.unread { p.note { "The audit trail has a gap, which could not be read: " (gap) "." } }
        div.scroll tabindex="0" {
            table {
                caption { "History, the newest first" }
                thead { tr { th scope="col" { "When" } th scope="col" { "Kind" } th scope="col" { "By" } th scope="col" { "What" } } }
                tbody {
                    @for one in &known.entries {
                        tr { td { time datetime=(one.at) { (one.at) } } td { (one.kind) } td { (one.by) } td { (one.what) } }
                    }
                }
            }
        }
    }
}

/// The page of an instance.
pub async fn instance_page(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Markup, Refused> {
    let instance = app.fleet.known_instance(&name).map_err(|problem| Refused::new(&problem, &session))?;
    let line = summary::of_instance(&instance);
    let status = instance.status.clone().unwrap_or_default();
    let to = |what: &str| format!("/client-admin/instances/{name}/{what}");
    let release = &instance.spec.release;
    let content = html! {
        p { (health(&line.health)) }
        @if !line.health.is_ready() { p.note { (line.health.message) } }
        @if session.staff.role >= Role::Operations && !line.leaving {
            nav.actions aria-label="Actions" {
                a.button href=(to("change")) { "Change" }
                @if session.staff.role >= Role::Administrator { a.button.danger href=(to("offboard")) { "End" } }
            }
        }
        dl {
            dt { "Tenant" } dd { a href=(format!("/client-admin/tenants/{}", line.tenant)) { (line.tenant) } }
            dt { "Location" } dd { (line.region) }
            dt { "Version" } dd { (or_none(line.version.as_deref())) }
            dt { "Follows" }
            dd { @match &release.channel { Some(channel) => { "channel " (channel) }, None => { "version " (or_none(release.version.as_deref())) } } }
            dt { "Endpoint" } dd { (or_none(line.endpoint.as_deref())) }
            dt { "Last backup" } dd { (backup(line.last_backup.as_deref(), Timestamp::now())) }
            dt { "Deviations" } dd { (or_none(Some(&status.deviations.join("; ")))) }
        }
        h2 { "Conditions" }
        (conditions(&status.conditions))
        p.hint { "Last changed by: " (or_none(instance.annotations().get("easycode.io/changed-by").map(String::as_str))) }
    };
    Ok(Page::new(&format!("Instance {name}"), &session, content).render())
}
