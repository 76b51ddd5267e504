//! The `Tenant` controller: observe → plan → apply → status, and deletion.

mod apply;
mod archive;
mod deletion;
mod erasure;
pub mod observe;
pub mod placement;
pub mod plan;
pub mod relocation;
mod status;
pub mod unseen;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_crds::Tenant;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};

use crate::{
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// Brings one tenant to plan.
pub async fn reconcile(tenant: Arc<Tenant>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let outcome = steps(&tenant, &context, started).await;
    let label = if outcome.is_ok() { "ok" } else { "error" };
    context.metrics.reconciled("tenant", label, started.elapsed());
    outcome
}

async fn steps(cached: &Tenant, context: &Context, started: Instant) -> Result<Action, Error> {
    let mut tenant = Tenant { status: context.unseen.status_of(cached), ..cached.clone() };
    if tenant.metadata.deletion_timestamp.is_some() {
        let outcome = deletion::reconcile(&tenant, context).await;
        if let Err(error) = &outcome {
            deletion::hold(&tenant, error.reason(), &error.to_string(), context).await?;
        }
        return outcome;
    }
    // After a start of the operator: nothing can be said until its home was looked at, which calls its tenants; and of a
    // tenant without one, until it is known which of them has data of it.
    let unseen = |home: &Home| !context.databases.was_visited(home);
    let must_wait = match placement::placed_on(&tenant) {
        Some(home) => context.exists(&home) && unseen(&home),
        None => context.homes().iter().any(unseen),
    };
    if must_wait {
        return Ok(Action::requeue(Duration::from_secs(10)));
    }
    // A move takes as many steps at once as it can, each from a home that is brought to plan for it.
    loop {
        let observed = observe::observe(&tenant, context);
        let mut plan = plan::plan(&tenant, &observed, Timestamp::now());
        let applied = apply::apply(&tenant, &plan, context).await;
        let lives = plan.home.clone().filter(|home| placement::placed_on(&tenant).as_ref() == Some(home));
        let mut at_home = None;
        if let Some(home) = lives {
            let settled = applied.is_ok() && plan.role.is_some();
            match relocation::advance(&tenant, &home, settled, context).await? {
                relocation::Turn::Taken(status) => {
                    tenant.status = Some(*status);
                    continue;
                }
                relocation::Turn::Home => at_home = Some(home),
                relocation::Turn::Rests { finding, next_look, status } => {
                    plan.place(finding, next_look);
                    tenant.status = status.map(|status| *status).or(tenant.status);
                }
            }
        }
        status::report(&tenant, &plan, applied.as_ref(), context, started).await?;
        // Last: a home that was left may be slow or gone, and the tenant is not to wait for it.
        if let Some(home) = at_home {
            plan.place(None, relocation::tend(cached, &home, context).await);
        }
        return match applied {
            Ok(_) => Ok(Action::requeue(plan.next_look.unwrap_or_else(|| context.options.resync_interval()))),
            Err(error) => Err(error),
        };
    }
}

/// The name of the ConfigMap with a tenant's context.
#[must_use]
pub fn config_map_name(tenant: &Tenant) -> String {
    format!("tenant-{}", tenant.name_any())
}
