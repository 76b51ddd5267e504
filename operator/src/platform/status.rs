//! Turns what was found into the platform's status and events. Writes only what changed.

use easycode_crds::{
    SharedPlatform, SharedPlatformStatus,
    conditions::{self, Finding, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::observe::Observed;
use crate::{
    kubernetes,
    runtime::{context::Context, error::Error},
    stack::{
        apply::Applied,
        home::Home,
        status::{self as stack, Held},
    },
    tenant::placement::{placed_on, tenants_on},
};

/// Reports the outcome of a reconcile, and lets the platform's tenants go on if what they wait for has changed.
pub async fn report(
    platform: &SharedPlatform,
    observed: &Observed,
    applied: &Applied,
    held: Option<&Held>,
    context: &Context,
) -> Result<(), Error> {
    let mut findings = applied.findings.clone();
    findings.extend(stack::unreached(&findings));
    let without_effect = without_effect(platform, observed);
    say(&mut findings, &without_effect);
    findings.push(stack::pending(applied));
    findings.extend(match held {
        Some(held) => held.findings(),
        None => stack::summary(&findings, applied),
    });
    let home = Home::Platform(platform.name_any());
    let before = platform.status.clone().unwrap_or_default();
    let (made, interval) = (platform.creation_timestamp().map(|made| made.0), context.options.probe_interval());
    findings.extend(context.isolation.of_home(&home, made, &before.conditions, interval));
    let after = SharedPlatformStatus {
        observed_generation: platform.metadata.generation,
        conditions: conditions::merge(
            &before.conditions,
            &findings,
            platform.metadata.generation,
            &Time(Timestamp::now()),
        ),
        namespace: Some(home.namespace()),
        release: applied.running.clone().or_else(|| before.release.clone()),
        tenants: i32::try_from(observed.tenants).unwrap_or(i32::MAX),
        services: stack::services(applied, &before.services, &home, context),
    };
    context.metrics.tenants(&platform.name_any(), observed.tenants);
    write(platform, &after, context).await?;
    stack::tell(platform, &before.conditions, &findings, applied, context).await;
    if before.observed_generation != after.observed_generation || before.release != after.release {
        for sentence in without_effect {
            context.events.warning(platform, "Reconcile", reason::UNKNOWN_SERVICE, sentence).await;
        }
    }
    let moved = |status: &SharedPlatformStatus| {
        (status.release.clone(), published(status), is_true(status, conditions::DATABASE_READY))
    };
    if before.observed_generation != after.observed_generation {
        context.trigger_releases();
    }
    let first = context.databases.visit(&home);
    if first || applied.connected || moved(&before) != moved(&after) {
        trigger_tenants(&home, context);
    } else if before.observed_generation != after.observed_generation || before.tenants > after.tenants {
        // There may be room now.
        trigger_unplaced(context);
    }
    Ok(())
}

/// What the spec says of services that its release lacks.
fn without_effect(platform: &SharedPlatform, observed: &Observed) -> Vec<String> {
    let named = platform.spec.services.iter().map(|one| one.name.as_str());
    let release = observed.release.as_deref();
    release.map(|release| stack::unknown(named, release).into_values().collect()).unwrap_or_default()
}

/// Adds to what is said of the services, unless there is trouble with them.
fn say(findings: &mut [Finding], sentences: &[String]) {
    let served = |one: &&mut Finding| one.type_ == conditions::SERVICES_AVAILABLE && one.status == Some(true);
    if let Some(finding) = findings.iter_mut().find(served) {
        finding.message =
            [&finding.message].into_iter().chain(sentences).map(String::as_str).collect::<Vec<_>>().join("; ");
    }
}

fn published(status: &SharedPlatformStatus) -> Vec<(String, i32)> {
    status.services.iter().map(|service| (service.service.clone(), service.schema_version)).collect()
}

fn is_true(status: &SharedPlatformStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Reconciles all tenants that live there, and those that have no home yet.
pub fn trigger_tenants(home: &Home, context: &Context) {
    for name in tenants_on(home, context) {
        context.triggers.tenant(&name);
    }
    trigger_unplaced(context);
}

/// Reconciles all tenants that wait for a platform.
pub fn trigger_unplaced(context: &Context) {
    for tenant in context.tenants.state_filter(|tenant| placed_on(tenant).is_none()) {
        context.triggers.tenant(&tenant.name_any());
    }
}

/// Writes the status if it differs.
pub async fn write(platform: &SharedPlatform, after: &SharedPlatformStatus, context: &Context) -> Result<(), Error> {
    if platform.status.as_ref() == Some(after) {
        return Ok(());
    }
    kubernetes::status::replace(platform, after, None, &context.client).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_effect_is_said_beside_services_that_run() {
        let said = |status, sentences: &[&str]| {
            let sentences: Vec<_> = sentences.iter().map(|one| (*one).to_owned()).collect();
            let mut findings = [Finding::new(conditions::SERVICES_AVAILABLE, status, reason::AS_PLANNED, "all run")];
            say(&mut findings, &sentences);
            findings[0].message.clone()
        };
        assert_eq!(said(Some(true), &["x is of no effect", "y is"]), "all run; x is of no effect; y is");
        assert_eq!((said(Some(true), &[]), said(Some(false), &["x is"])), ("all run".into(), "all run".into()));
    }
}
