//! Makes a tenant's plan so. Access that goes is closed for the services first and in the database after; access that
//! comes is opened in the database first. A crash between two steps leaves a state from which the next plan goes on.

use easycode_contract::database::Identifier;
use easycode_crds::Tenant;
use kube::ResourceExt;
use serde_json::json;

use super::{placement::placed_on, plan::Plan};
use crate::{
    audit,
    kubernetes::{finalizer, labels},
    postgres::{self, audit::Account, survey::TenantData},
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// What became of a plan.
#[derive(Debug)]
pub struct Applied {
    /// What the tenant has in the database now.
    pub database: TenantData,
    /// Whether anything was written.
    pub changed: bool,
}

/// Applies the plan.
pub async fn apply(tenant: &Tenant, plan: &Plan, context: &Context) -> Result<Applied, Error> {
    let mut applied = Applied { database: plan.database.clone(), changed: false };
    let Some(home) = plan.home.as_ref().filter(|_| plan.role.is_some() || plan.config_map.is_some()) else {
        // Only once it is settled where the tenant lives, so that no second place tells of it.
        if let Some(home) = placed_on(tenant).filter(|home| plan.home.as_ref() == Some(home)) {
            audit::record_due(tenant, &home, context).await?;
        }
        return Ok(applied);
    };
    claim(tenant, home, context).await?;

    let closing = plan.steps.iter().any(postgres::plan::Step::closes_access);
    if closing {
        applied.changed |= publish(plan, context).await?;
    }
    let role = Identifier::tenant(&tenant.name_any()).ok().filter(|_| !plan.steps.is_empty());
    if let Some(role) = &role {
        let database = context
            .databases
            .get(home)
            .ok_or_else(|| postgres::Error::Unavailable(format!("{home} was disconnected")))?;
        let account = Account { adopted: plan.adopted.clone(), ..context.ledger.account(tenant, &database) };
        applied.database = database.bring(role, plan.steps.clone(), account).await?;
        applied.changed = true;
    }
    if !closing {
        applied.changed |= publish(plan, context).await?;
    }
    if role.is_none() {
        audit::record_due(tenant, home, context).await?;
    }
    Ok(applied)
}

async fn publish(plan: &Plan, context: &Context) -> Result<bool, Error> {
    match &plan.config_map {
        Some(config_map) => Ok(context.applier.apply(config_map, &context.caches).await?),
        None => Ok(false),
    }
}

/// Sets finalizer and placement in one write, before anything is made for the tenant: whatever happens afterwards, the
/// tenant is found there and cleaned up.
async fn claim(tenant: &Tenant, home: &Home, context: &Context) -> Result<(), Error> {
    let labelled = tenant.labels().get(home.label()).is_some_and(|label| label == home.name());
    if finalizer::is_set(tenant) && labelled && placed_on(tenant).as_ref() == Some(home) {
        return Ok(());
    }
    let mut placement = json!({ labels::PLATFORM: null, labels::INSTANCE: null });
    placement[home.label()] = home.name().into();
    finalizer::claim(tenant, placement, &context.client).await?;
    Ok(())
}
