//! The `SharedPlatform` controller: observe → plan → apply → status. Planning and applying are those of any stack.

mod deletion;
mod observe;
pub mod plan;
mod status;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_crds::{
    SharedPlatform,
    conditions::{self, Finding, reason},
};
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

pub(crate) use status::trigger_unplaced;

/// Brings one platform to plan.
pub async fn reconcile(platform: Arc<SharedPlatform>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let outcome = steps(&platform, &context).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context.metrics.reconciled("platform", label, started.elapsed());
    outcome
}

async fn steps(platform: &SharedPlatform, context: &Arc<Context>) -> Result<Action, Error> {
    let home = Home::Platform(platform.name_any());
    let mut held = None;
    if platform.metadata.deletion_timestamp.is_some() {
        held = deletion::held(platform, context).await?;
        if held.is_none() {
            return stack::deletion::delete(platform, &home, context).await;
        }
    }
    // Its tenants are served, and deleted, as long as it is there.
    let observed = observe::observe(platform, context);
    let applied = apply(platform, &observed, context).await?;
    status::report(platform, &observed, &applied, held.as_ref(), context).await?;
    audit::record_due(platform, &home, context).await?;
    match applied.fault {
        Some(fault) => Err(fault),
        None if held.is_some() => Ok(Action::requeue(Duration::from_secs(15))),
        None => Ok(Action::requeue(applied.next_look.unwrap_or_else(|| context.options.resync_interval()))),
    }
}

async fn apply(
    platform: &SharedPlatform,
    observed: &observe::Observed,
    context: &Arc<Context>,
) -> Result<Applied, Error> {
    let Some(release) = &observed.release else {
        let message = missing(&platform.spec.release);
        let finding = Finding::new(conditions::DATABASE_READY, None, reason::RELEASE_NOT_FOUND, message);
        return Ok(Applied { findings: vec![finding], ..Applied::default() });
    };
    if !finalizer::is_set(platform) {
        finalizer::claim(platform, json!({}), &context.client).await?;
    }
    let operator = context.operator();
    let blueprint = plan::blueprint(platform, release, &operator);
    let running = observed.running.as_deref().map(|running| blueprint.with_release(running));
    Ok(apply::bring(&blueprint, running.as_ref(), context).await)
}

/// Says that there is no release of the name.
#[must_use]
pub fn missing(release: &str) -> String {
    format!("Release {release} does not exist; create it, or name another in spec.release")
}
