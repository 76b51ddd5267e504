//! Turns what was found into the platform's status and events. Writes only what changed.

use easycode_crds::{
    SharedPlatform, SharedPlatformStatus,
    conditions::{self, Finding, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};

use super::{
    apply::Applied,
    deletion::Held,
    namespace_of,
    observe::{self, Observed},
};
use crate::runtime::{context::Context, error::Error};

/// Reports the outcome of a reconcile, and lets the platform's tenants go on if what they wait for has changed.
pub async fn report(
    platform: &SharedPlatform,
    observed: &Observed,
    applied: &Applied,
    held: Option<&Held>,
    context: &Context,
) -> Result<(), Error> {
    let mut findings = applied.findings.clone();
    findings.push(pending(applied));
    findings.extend(match held {
        Some(Held { reason, message }) => vec![
            Finding::new(conditions::READY, Some(false), reason, message.clone()),
            Finding::new(conditions::PROGRESSING, Some(true), reason, message.clone()),
            Finding::new(conditions::DEGRADED, Some(true), reason, message.clone()),
        ],
        None => summary(&findings, applied.fault.as_ref()),
    });
    let before = platform.status.clone().unwrap_or_default();
    let after = SharedPlatformStatus {
        observed_generation: platform.metadata.generation,
        conditions: conditions::merge(
            &before.conditions,
            &findings,
            platform.metadata.generation,
            &Time(Timestamp::now()),
        ),
        namespace: Some(namespace_of(&platform.name_any())),
        release: applied.running.clone().or_else(|| before.release.clone()),
        tenants: i32::try_from(observed.tenants).unwrap_or(i32::MAX),
        services: if applied.services.is_empty() { before.services.clone() } else { applied.services.clone() },
    };
    context.metrics.tenants(&platform.name_any(), observed.tenants);
    write(platform, &after, context).await?;
    tell(platform, &findings, context).await;
    let moved = |status: &SharedPlatformStatus| {
        (status.release.clone(), published(status), is_true(status, conditions::DATABASE_READY))
    };
    if before.observed_generation != after.observed_generation {
        trigger_releases(context);
    }
    let first = context.databases.visit(&platform.name_any());
    if first || applied.connected || moved(&before) != moved(&after) {
        trigger_tenants(&platform.name_any(), context);
    } else if before.observed_generation != after.observed_generation || before.tenants > after.tenants {
        // There may be room now.
        trigger_unplaced(context);
    }
    Ok(())
}

fn published(status: &SharedPlatformStatus) -> Vec<(String, i32)> {
    status.services.iter().map(|service| (service.service.clone(), service.schema_version)).collect()
}

fn is_true(status: &SharedPlatformStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Reconciles all tenants of the platform, and those that have none yet.
pub fn trigger_tenants(platform: &str, context: &Context) {
    for name in observe::tenants_on(platform, context) {
        context.triggers.tenant(&name);
    }
    trigger_unplaced(context);
}

/// Reconciles all releases, since another platform may use them now.
pub fn trigger_releases(context: &Context) {
    for release in context.releases.state() {
        context.triggers.release(&release.name_any());
    }
}

/// Reconciles all tenants that wait for a platform.
pub fn trigger_unplaced(context: &Context) {
    for tenant in context.tenants.state_filter(|tenant| crate::tenant::placement::placed_on(tenant).is_none()) {
        context.triggers.tenant(&tenant.name_any());
    }
}

/// Writes the status if it differs.
pub async fn write(platform: &SharedPlatform, after: &SharedPlatformStatus, context: &Context) -> Result<(), Error> {
    if platform.status.as_ref() == Some(after) {
        return Ok(());
    }
    let api: Api<SharedPlatform> = Api::all(context.client.clone());
    let patch = serde_json::json!({ "status": after });
    api.patch_status(&platform.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

fn pending(applied: &Applied) -> Finding {
    if applied.pending.is_empty() {
        Finding::new(conditions::UPDATE_PENDING, Some(false), reason::AS_PLANNED, "nothing is pending")
    } else {
        let message = format!(
            "this operator renders {} differently; it is applied with the next release, or now if you annotate the platform with {}=<anything new>",
            applied.pending.join(", "),
            crate::kubernetes::labels::APPLY_PENDING
        );
        Finding::new(conditions::UPDATE_PENDING, Some(true), reason::OPERATOR_CHANGED, message)
    }
}

fn summary(findings: &[Finding], fault: Option<&Error>) -> Vec<Finding> {
    let stages = || findings.iter().filter(|finding| finding.type_ != conditions::UPDATE_PENDING);
    let trouble = fault
        .map(|fault| Finding::new(conditions::READY, Some(false), fault.reason(), fault.to_string()))
        .or_else(|| stages().find(|finding| finding.status == Some(false)).cloned())
        .or_else(|| stages().find(|finding| finding.status.is_none()).cloned());
    let Some(trouble) = trouble else {
        return vec![
            Finding::new(conditions::READY, Some(true), reason::AS_PLANNED, "all services serve"),
            Finding::new(conditions::PROGRESSING, Some(false), reason::AS_PLANNED, "nothing to do"),
            Finding::new(conditions::DEGRADED, Some(false), reason::AS_PLANNED, "no trouble"),
        ];
    };
    let on_its_way =
        fault.is_none() && [reason::PROVISIONING, reason::MIGRATING, reason::ROLLING_OUT].contains(&trouble.reason);
    vec![
        Finding::new(conditions::READY, Some(false), trouble.reason, trouble.message.clone()),
        Finding::new(
            conditions::PROGRESSING,
            Some(on_its_way || fault.is_some()),
            trouble.reason,
            if on_its_way { "on its way" } else { "see Degraded" },
        ),
        Finding::new(conditions::DEGRADED, Some(!on_its_way), trouble.reason, trouble.message),
    ]
}

async fn tell(platform: &SharedPlatform, findings: &[Finding], context: &Context) {
    let Some(ready) = findings.iter().find(|finding| finding.type_ == conditions::READY) else { return };
    let was =
        platform.status.as_ref().and_then(|status| status.conditions.iter().find(|one| one.type_ == conditions::READY));
    if was.is_some_and(|was| was.reason == ready.reason && was.message == ready.message) {
        return;
    }
    let degraded = findings.iter().any(|finding| finding.type_ == conditions::DEGRADED && finding.status == Some(true));
    if degraded {
        context.events.warning(platform, "Reconcile", ready.reason, ready.message.clone()).await;
    } else {
        context.events.normal(platform, "Reconcile", ready.reason, ready.message.clone()).await;
    }
}
