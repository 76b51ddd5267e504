//! The `SharedPlatform` controller: observe → plan → apply → status.
//!
//! A platform comes up in stages, each of which needs what the one before made: the namespace with Secrets and Postgres,
//! the services' databases, their migrations, their workloads.

mod apply;
mod deletion;
mod observe;
pub mod plan;
mod status;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_crds::SharedPlatform;
use kube::runtime::controller::Action;

use crate::runtime::{context::Context, error::Error};

pub use plan::namespace_of;
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
    let mut held = None;
    if platform.metadata.deletion_timestamp.is_some() {
        held = deletion::held(platform, context).await?;
        if held.is_none() {
            return deletion::delete(platform, context).await;
        }
    }
    // Its tenants are served, and deleted, as long as it is there.
    let observed = observe::observe(platform, context);
    let applied = apply::apply(platform, &observed, context).await;
    status::report(platform, &observed, &applied, held.as_ref(), context).await?;
    match applied.fault {
        Some(fault) => Err(fault),
        None if held.is_some() => Ok(Action::requeue(Duration::from_secs(15))),
        None => Ok(Action::requeue(applied.next_look.unwrap_or_else(|| context.options.resync_interval()))),
    }
}
