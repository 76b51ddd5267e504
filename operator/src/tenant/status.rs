//! Turns a plan and what became of it into the tenant's status and events. Writes only what changed.

use std::time::Instant;

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, TenantStatus,
    conditions::{self, Finding, reason},
    tenant::{ServiceData, State},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{apply::Applied, plan::Plan};
use crate::{
    kubernetes,
    postgres::survey::TenantData,
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// Reports the outcome of a reconcile.
pub async fn report(
    tenant: &Tenant,
    plan: &Plan,
    applied: Result<&Applied, &Error>,
    context: &Context,
    started: Instant,
) -> Result<(), Error> {
    let mut findings = plan.findings.clone();
    let empty = TenantData::default();
    let database = applied.map_or(&plan.database, |applied| &applied.database);
    findings.extend(work_findings(plan, applied.err(), database));
    findings.extend(summary(tenant, &findings, applied.err()));
    findings.extend(context.isolation.of_tenant(tenant, plan.home.as_ref(), context.options.probe_interval()));

    let mut before = tenant.status.clone().unwrap_or_default();
    before.conditions.retain(|one| can_hold(&one.type_, plan.home.as_ref()));
    let (platform, instance) = match &plan.home {
        Some(Home::Platform(name)) => (Some(name.clone()), None),
        Some(Home::Instance(name)) => (None, Some(name.clone())),
        None => (None, None),
    };
    let after = TenantStatus {
        observed_generation: tenant.metadata.generation,
        conditions: conditions::merge(
            &before.conditions,
            &findings,
            tenant.metadata.generation,
            &Time(Timestamp::now()),
        ),
        platform: platform.or_else(|| before.platform.clone().filter(|_| plan.home.is_none())),
        instance: instance.or_else(|| before.instance.clone().filter(|_| plan.home.is_none())),
        database_role: plan.role.as_ref().map(|role| role.as_str().to_owned()).or_else(|| before.database_role.clone()),
        endpoint: if plan.role.is_some() { plan.endpoint.clone() } else { before.endpoint.clone() },
        services: services(plan, if plan.role.is_some() { database } else { &empty }, &before),
        relocation: before.relocation,
        former_homes: before.former_homes,
    };
    write(tenant, &after, context).await?;
    tell(tenant, plan, applied, &findings, context, started).await;
    Ok(())
}

/// Whether a condition can hold for a tenant that lives there: a platform tells of its services itself, and what was said of those
/// of an instance must not stay when the tenant has left it.
fn can_hold(type_: &str, home: Option<&Home>) -> bool {
    type_ != conditions::SERVICES_AVAILABLE || matches!(home, Some(Home::Instance(_)))
}

/// Writes the status if it differs.
pub async fn write(tenant: &Tenant, after: &TenantStatus, context: &Context) -> Result<(), Error> {
    if tenant.status.as_ref() == Some(after) {
        return Ok(());
    }
    write_to(tenant, after, None, context).await
}

/// Writes the status, to the given version of the tenant and to no other.
pub async fn write_to(
    tenant: &Tenant,
    after: &TenantStatus,
    version: Option<String>,
    context: &Context,
) -> Result<(), Error> {
    let written = kubernetes::status::replace(tenant, after, version.as_deref(), &context.client).await?;
    context.unseen.wrote(&written);
    Ok(())
}

/// What applying showed: database and config.
fn work_findings(plan: &Plan, error: Option<&Error>, database: &TenantData) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(role) = &plan.role
        && !plan.findings.iter().any(|finding| finding.type_ == conditions::DATABASE_READY)
    {
        findings.push(database_finding(plan, role, error, database));
    }
    if plan.config_map.is_some() {
        findings.push(match error {
            Some(error) => Finding::new(
                conditions::CONFIG_PUBLISHED,
                None,
                error.reason(),
                "not attempted or refused; see the other conditions",
            ),
            None => Finding::new(
                conditions::CONFIG_PUBLISHED,
                Some(true),
                reason::AS_PLANNED,
                "the services have the context",
            ),
        });
    }
    findings
}

fn database_finding(plan: &Plan, role: &Identifier, error: Option<&Error>, database: &TenantData) -> Finding {
    let behind: Vec<_> = plan
        .entitled
        .iter()
        .filter(|(service, version)| database.schemas.get(*service).is_none_or(|present| present < version))
        .map(|(service, _)| service.as_str())
        .collect();
    match error {
        Some(error @ Error::Postgres(_)) => {
            Finding::new(conditions::DATABASE_READY, Some(false), error.reason(), error.to_string())
        }
        _ if behind.is_empty() && database.role_exists => Finding::new(
            conditions::DATABASE_READY,
            Some(true),
            reason::AS_PLANNED,
            format!("role {} with {} schemas", role.as_str(), database.schemas.len()),
        ),
        _ => Finding::new(
            conditions::DATABASE_READY,
            Some(false),
            reason::PROVISIONING,
            format!("schemas of {} are not at the release's version yet", behind.join(", ")),
        ),
    }
}

/// `Ready`, `Progressing` and `Degraded`, out of the other findings.
fn summary(tenant: &Tenant, findings: &[Finding], error: Option<&Error>) -> Vec<Finding> {
    // What is known to be wrong matters more than what is not known yet, and both more than a move under way.
    let trouble = findings
        .iter()
        .find(|finding| finding.status == Some(false) && finding.reason != reason::MOVING)
        .or_else(|| findings.iter().find(|finding| finding.status.is_none()))
        .or_else(|| findings.iter().find(|finding| finding.status == Some(false)));
    match trouble {
        None if tenant.spec.state == State::Suspended => vec![
            Finding::new(
                conditions::READY,
                Some(false),
                reason::SUSPENDED,
                "suspended by spec.state; set it to Active to resume",
            ),
            Finding::new(conditions::PROGRESSING, Some(false), reason::AS_PLANNED, "nothing to do"),
            Finding::new(conditions::DEGRADED, Some(false), reason::AS_PLANNED, "no trouble"),
        ],
        None => vec![
            Finding::new(conditions::READY, Some(true), reason::AS_PLANNED, "served as specified"),
            Finding::new(conditions::PROGRESSING, Some(false), reason::AS_PLANNED, "nothing to do"),
            Finding::new(conditions::DEGRADED, Some(false), reason::AS_PLANNED, "no trouble"),
        ],
        Some(trouble) => {
            let on_its_way = [reason::PROVISIONING, reason::MOVING].contains(&trouble.reason);
            let waits = trouble.status.is_none() || on_its_way || error.is_some();
            let degraded = trouble.status == Some(false) && !on_its_way;
            vec![
                Finding::new(conditions::READY, Some(false), trouble.reason, trouble.message.clone()),
                Finding::new(
                    conditions::PROGRESSING,
                    Some(waits),
                    trouble.reason,
                    if waits { "waiting or retrying" } else { "waits for a change of the spec or the platform" },
                ),
                Finding::new(conditions::DEGRADED, Some(degraded), trouble.reason, trouble.message.clone()),
            ]
        }
    }
}

fn services(plan: &Plan, database: &TenantData, before: &TenantStatus) -> Vec<ServiceData> {
    if plan.role.is_none() {
        return before.services.clone();
    }
    database
        .schemas
        .iter()
        .map(|(service, version)| ServiceData {
            service: service.clone(),
            schema_version: *version,
            entitled: plan.entitled.contains_key(service),
            retained_until: database.withdrawn.get(service).map(ToString::to_string),
        })
        .collect()
}

/// Says what changed, and each new trouble, once.
async fn tell(
    tenant: &Tenant,
    plan: &Plan,
    applied: Result<&Applied, &Error>,
    findings: &[Finding],
    context: &Context,
    started: Instant,
) {
    let Some(ready) = findings.iter().find(|finding| finding.type_ == conditions::READY) else { return };
    if let (Some(owner), Ok(_)) = (&plan.adopted, applied) {
        let note = format!("took over the data of the Tenant of this name with uid {owner}");
        context.events.warning(tenant, "Reconcile", "DataAdopted", note).await;
    }
    let was =
        tenant.status.as_ref().and_then(|status| status.conditions.iter().find(|one| one.type_ == conditions::READY));
    let same = was.is_some_and(|was| was.reason == ready.reason && was.message == ready.message);
    let in_order = ready.status == Some(true) || ready.reason == reason::SUSPENDED;
    if ready.reason == reason::MOVING {
        // Each phase was told as it began.
        return;
    }
    if !in_order && !same {
        context.events.warning(tenant, "Reconcile", ready.reason, ready.message.clone()).await;
    } else if in_order && applied.is_ok_and(|applied| applied.changed) {
        let steps = plan.steps.len();
        let what = if was.is_none() { "Provisioned" } else { "Updated" };
        let took = started.elapsed().as_millis();
        let note = format!("{} after {steps} steps in the database, in {took} ms", ready.message);
        context.events.normal(tenant, "Reconcile", what, note).await;
    } else if in_order && !same {
        context.events.normal(tenant, "Reconcile", ready.reason, ready.message.clone()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_spoken_of_as_long_as_the_tenant_is_on_an_instance() {
        let (platform, instance) = (Home::Platform("eu1".into()), Home::Instance("aurora".into()));
        assert!(can_hold(conditions::SERVICES_AVAILABLE, Some(&instance)));
        assert!(
            !can_hold(conditions::SERVICES_AVAILABLE, Some(&platform))
                && !can_hold(conditions::SERVICES_AVAILABLE, None)
        );
        assert!(
            can_hold(conditions::DATABASE_READY, Some(&platform)) && can_hold(conditions::ISOLATION_VERIFIED, None)
        );
    }
}
