//! The `DedicatedInstance` controller: observe → plan → apply → status. Planning and applying are those of any stack; what
//! differs is the blueprint: the services that its one tenant is entitled to, its nodes, its bounds, its own deviations.

mod deletion;
mod observe;
pub mod plan;
mod status;
pub mod window;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_crds::{
    DedicatedInstance,
    conditions::{self, Finding, reason},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use serde_json::json;

use crate::{
    audit,
    kubernetes::finalizer,
    runtime::{context::Context, error::Error},
    stack::{
        self,
        apply::{self, Applied},
        home::Home,
    },
};

/// Brings one instance to plan.
pub async fn reconcile(instance: Arc<DedicatedInstance>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let outcome = steps(&instance, &context).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context.metrics.reconciled("instance", label, started.elapsed());
    outcome
}

async fn steps(instance: &DedicatedInstance, context: &Arc<Context>) -> Result<Action, Error> {
    let home = Home::Instance(instance.name_any());
    let mut held = None;
    if instance.metadata.deletion_timestamp.is_some() {
        held = deletion::held(instance, context).await?;
        if held.is_none() {
            return stack::deletion::delete(instance, &home, context).await;
        }
    }
    // Its tenant is served, and deleted, as long as it is there.
    let observed = observe::observe(instance, context);
    let applied = apply(instance, &observed, context).await?;
    status::report(instance, &observed, &applied, held.as_ref(), context).await?;
    audit::record_due(instance, &home, context).await?;
    match applied.fault {
        Some(fault) => Err(fault),
        // Its tenant may just be going.
        None if held.is_some() => Ok(Action::requeue(Duration::from_secs(3))),
        None => Ok(Action::requeue(applied.next_look.unwrap_or_else(|| context.options.resync_interval()))),
    }
}

async fn apply(
    instance: &DedicatedInstance,
    observed: &observe::Observed,
    context: &Arc<Context>,
) -> Result<Applied, Error> {
    let now = Timestamp::now();
    let (release, waits) = observed.release(instance, now);
    let missing = |message| Finding::new(conditions::MIGRATED, Some(false), reason::RELEASE_NOT_FOUND, message);
    let Some(release) = release else {
        // Either that of the spec, or the one that is to run until a window opens.
        let message = if let Err(why) = &observed.wanted {
            why.message.clone()
        } else {
            let begun = observed.begun.as_deref().unwrap_or_default();
            format!("Release {begun}, which is to run until then, does not exist any more; create it again")
        };
        let waits = waits.map(|opens| opens.message);
        return Ok(Applied { findings: vec![missing(message)], waits, ..Applied::default() });
    };
    if !finalizer::is_set(instance) {
        finalizer::claim(instance, json!({}), &context.client).await?;
    }
    let operator = context.operator();
    let mut blueprint = plan::blueprint(instance, observed.tenant.as_deref(), release, &operator);
    let windows = &instance.spec.maintenance.windows;
    blueprint.renews = !windows.is_empty() && window::is_open(windows, now);
    if observed.tenant.is_none() {
        // Whatever became of the status, what runs stays until the tenant says what it may use.
        blueprint.wanted.get_or_insert_default().extend(observed.deployed.iter().cloned());
    }
    let running = observed.running.as_deref().map(|running| blueprint.with_release(running));
    let mut applied = apply::bring(&blueprint, running.as_ref(), context).await;
    if let Err(why) = &observed.wanted {
        applied.findings.retain(|finding| finding.type_ != conditions::MIGRATED);
        applied.findings.push(missing(why.message.clone()));
    }
    let until_window = match waits {
        Some(opens) => {
            applied.waits = Some(opens.message);
            Some(opens.after)
        }
        None if applied.pending.is_empty() || windows.is_empty() => None,
        None => Some(window::until(windows, now)),
    };
    applied.next_look = applied.next_look.into_iter().chain(until_window).min();
    Ok(applied)
}
