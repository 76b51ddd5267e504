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
use kube::runtime::controller::Action;
use serde_json::json;

use crate::{
    kubernetes::finalizer,
    runtime::{context::Context, error::Error},
    stack::apply::{self, Applied},
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
    let mut held = None;
    if instance.metadata.deletion_timestamp.is_some() {
        held = deletion::held(instance, context).await?;
        if held.is_none() {
            return deletion::delete(instance, context).await;
        }
    }
    // Its tenant is served, and deleted, as long as it is there.
    let observed = observe::observe(instance, context);
    let applied = apply(instance, &observed, context).await?;
    status::report(instance, &observed, &applied, held.as_ref(), context).await?;
    match applied.fault {
        Some(fault) => Err(fault),
        None if held.is_some() => Ok(Action::requeue(Duration::from_secs(15))),
        None => Ok(Action::requeue(applied.next_look.unwrap_or_else(|| context.options.resync_interval()))),
    }
}

async fn apply(
    instance: &DedicatedInstance,
    observed: &observe::Observed,
    context: &Arc<Context>,
) -> Result<Applied, Error> {
    let (release, waits) = observed.release(instance, Timestamp::now());
    let Some(release) = release else {
        let named = &instance.spec.release.name;
        let message = format!("Release {named} does not exist; create it, or name another in spec.release.name");
        let finding = Finding::new(conditions::DATABASE_READY, None, reason::RELEASE_NOT_FOUND, message);
        return Ok(Applied { findings: vec![finding], ..Applied::default() });
    };
    if !finalizer::is_set(instance) {
        finalizer::claim(instance, json!({}), &context.client).await?;
    }
    let operator = context.options.operator();
    let blueprint = plan::blueprint(instance, observed.tenant.as_deref(), release, &operator);
    let running = observed.running.as_deref().map(|running| blueprint.with_release(running));
    let mut applied = apply::bring(&blueprint, running.as_ref(), context).await;
    if let Some(opens) = waits {
        applied.waits = Some(opens.message);
        applied.next_look = applied.next_look.into_iter().chain([opens.after]).min();
    }
    Ok(applied)
}
