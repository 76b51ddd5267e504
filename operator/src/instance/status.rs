//! Turns what was found into the instance's status and events. Writes only what changed.

use easycode_crds::{
    DedicatedInstance, DedicatedInstanceStatus,
    conditions::{self, Finding, reason},
    instance::DatabaseStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use super::{observe::Observed, plan, window};
use crate::{
    kubernetes,
    runtime::{context::Context, error::Error},
    stack::{
        apply::Applied,
        home::Home,
        status::{self as stack, Held},
    },
    tenant::placement::placed_on,
};

/// Reports the outcome of a reconcile, and lets the tenant go on if what it waits for has changed.
pub async fn report(
    instance: &DedicatedInstance,
    observed: &Observed,
    applied: &Applied,
    held: Option<&Held>,
    context: &Context,
) -> Result<(), Error> {
    let home = Home::Instance(instance.name_any());
    let mut findings = applied.findings.clone();
    findings.extend(stack::unreached(&findings));
    findings.push(scheduled(instance, &findings));
    findings.push(bound(instance, observed, &home));
    let pending = pending(instance, applied);
    findings.push(pending.clone());
    findings.extend(match held {
        Some(held) => held.findings(),
        None => stack::summary(&findings, applied),
    });
    let before = instance.status.clone().unwrap_or_default();
    let (made, interval) = (instance.creation_timestamp().map(|made| made.0), context.options.probe_interval());
    findings.extend(context.isolation.of_home(&home, made, &before.conditions, interval));
    let generation = instance.metadata.generation;
    let release = applied.running.clone().or_else(|| before.release.clone());
    let (release_to_run, _) = observed.release(instance, Timestamp::now());
    let known = observed.wanted.iter().chain(&observed.running);
    let version = known
        .filter(|one| Some(one.name_any()) == release)
        .map(|one| one.spec.version.clone())
        .next()
        .or_else(|| before.version.clone());
    let after = DedicatedInstanceStatus {
        observed_generation: generation,
        conditions: conditions::merge(&before.conditions, &findings, generation, &Time(Timestamp::now())),
        namespace: Some(home.namespace()),
        tenant: Some(instance.spec.tenant_ref.name.clone()),
        release,
        version,
        endpoint: plan::endpoint(instance),
        database: Some(database(instance, &findings, &before, &home, context)),
        services: stack::services(applied, &before.services, &home, context),
        last_backup: applied.last_backup.clone().or_else(|| before.last_backup.clone()),
        credentials_rotated_at: applied
            .rotated_at
            .map(|at| at.to_string())
            .or_else(|| before.credentials_rotated_at.clone()),
        deviations: plan::deviations(instance, observed.tenant.as_deref(), release_to_run),
    };
    write(instance, &after, context).await?;
    stack::tell(instance, &before.conditions, &findings, applied, context).await;
    let told =
        before.conditions.iter().any(|one| one.reason == reason::WINDOW_NEVER_OPENS && one.message == pending.message);
    if pending.reason == reason::WINDOW_NEVER_OPENS && !told {
        context.events.warning(instance, "Reconcile", pending.reason, pending.message).await;
    }
    for idle in release_to_run.map(|release| plan::unknown(instance, release)).unwrap_or_default().into_values() {
        if !before.deviations.contains(&idle) {
            context.events.warning(instance, "Reconcile", reason::UNKNOWN_SERVICE, idle).await;
        }
    }
    if before.observed_generation != after.observed_generation || before.release != after.release {
        context.trigger_releases();
    }
    let first = context.databases.visit(&home);
    if first || applied.connected || matters(&before) != matters(&after) {
        context.triggers.tenant(&instance.spec.tenant_ref.name);
    }
    Ok(())
}

/// What the tenant's own status depends on.
fn matters(status: &DedicatedInstanceStatus) -> impl PartialEq + use<> {
    let said = |type_: &str| {
        let said = status.conditions.iter().find(|one| one.type_ == type_);
        said.map(|one: &Condition| (one.status.clone(), one.message.clone()))
    };
    let services: Vec<_> = status.services.iter().map(|one| (one.service.clone(), one.schema_version)).collect();
    (
        status.release.clone(),
        status.endpoint.clone(),
        services,
        said(conditions::DATABASE_READY),
        said(conditions::SERVICES_AVAILABLE),
    )
}

/// Whether its pods found nodes: once all ran, they did, until one does not.
fn scheduled(instance: &DedicatedInstance, findings: &[Finding]) -> Finding {
    let finding = |status, reason, message: String| Finding::new(conditions::SCHEDULED, status, reason, message);
    let unplaced = findings.iter().find(|one| [reason::NO_NODE_IN_REGION, reason::UNSCHEDULABLE].contains(&one.reason));
    if let Some(unplaced) = unplaced {
        return finding(Some(false), unplaced.reason, unplaced.message.clone());
    }
    let region = &instance.spec.location.region;
    let well = |type_: &str| findings.iter().any(|one| one.type_ == type_ && one.status == Some(true));
    let mut before = instance.status.iter().flat_map(|status| &status.conditions);
    let found = before.any(|one| one.type_ == conditions::SCHEDULED && one.status == "True");
    if found || well(conditions::DATABASE_READY) && well(conditions::SERVICES_AVAILABLE) {
        return finding(Some(true), reason::AS_PLANNED, format!("its pods found nodes in region {region}"));
    }
    finding(None, reason::PROVISIONING, format!("pods are to run on nodes of region {region}"))
}

/// Whether the tenant is there and lives here.
fn bound(instance: &DedicatedInstance, observed: &Observed, home: &Home) -> Finding {
    let name = &instance.spec.tenant_ref.name;
    let finding = |status, reason, message: String| Finding::new(conditions::TENANT_BOUND, status, reason, message);
    let Some(tenant) = &observed.tenant else {
        let message = format!("Tenant {name} does not exist; create it with deployment.instance={}", home.name());
        return finding(Some(false), reason::TENANT_NOT_FOUND, message);
    };
    if tenant.spec.deployment.instance.as_deref() != Some(home.name()) {
        let message = format!(
            "Tenant {name} does not name this instance; set its deployment to model Dedicated and instance {}, which moves it here",
            home.name()
        );
        return finding(Some(false), reason::TENANT_MISMATCH, message);
    }
    match placed_on(tenant) {
        Some(lives) if lives == *home => finding(Some(true), reason::AS_PLANNED, format!("Tenant {name} lives here")),
        Some(lives) => finding(Some(false), reason::MOVING, format!("Tenant {name} is to move here from {lives}")),
        None => finding(None, reason::PROVISIONING, format!("Tenant {name} is not placed yet")),
    }
}

/// Whether something waits to be rolled out, or would wait for ever.
fn pending(instance: &DedicatedInstance, applied: &Applied) -> Finding {
    let complaints = window::complaints(&instance.spec.maintenance.windows);
    if let Some(message) = &applied.waits {
        let message = [message.clone()].into_iter().chain(complaints).collect::<Vec<_>>().join("; ");
        return Finding::new(conditions::UPDATE_PENDING, Some(true), reason::AWAITING_WINDOW, message);
    }
    let pending = stack::pending(applied);
    if complaints.is_empty() || pending.status == Some(true) {
        return pending;
    }
    Finding::new(conditions::UPDATE_PENDING, Some(false), reason::WINDOW_NEVER_OPENS, complaints.join("; "))
}

fn database(
    instance: &DedicatedInstance,
    findings: &[Finding],
    before: &DedicatedInstanceStatus,
    home: &Home,
    context: &Context,
) -> DatabaseStatus {
    let known = before.database.as_ref().and_then(|database| database.version.clone());
    DatabaseStatus {
        provider: instance.spec.database.provider,
        version: context.databases.get(home).map(|database| database.version().to_owned()).or(known),
        ready: findings.iter().any(|one| one.type_ == conditions::DATABASE_READY && one.status == Some(true)),
    }
}

/// Writes the status if it differs.
async fn write(instance: &DedicatedInstance, after: &DedicatedInstanceStatus, context: &Context) -> Result<(), Error> {
    if instance.status.as_ref() == Some(after) {
        return Ok(());
    }
    kubernetes::status::replace(instance, after, None, &context.client).await?;
    Ok(())
}
