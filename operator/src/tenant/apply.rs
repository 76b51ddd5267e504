//! Makes a tenant's plan so. Access that goes is closed for the services first and in the database after; access that
//! comes is opened in the database first. A crash between two steps leaves a state from which the next plan goes on.

use easycode_contract::database::Identifier;
use easycode_crds::Tenant;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{placement::placed_on, plan::Plan};
use crate::{
    kubernetes::labels,
    postgres::{self, survey::TenantData},
    runtime::{context::Context, error::Error},
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
    let Some(platform) = plan.platform.as_ref().filter(|_| plan.role.is_some() || plan.config_map.is_some()) else {
        return Ok(applied);
    };
    claim(tenant, platform, context).await?;

    let closing = plan.steps.iter().any(postgres::plan::Step::closes_access);
    if closing {
        applied.changed |= publish(plan, context).await?;
    }
    let role = Identifier::tenant(&tenant.name_any()).ok().filter(|_| !plan.steps.is_empty());
    if let Some(role) = &role {
        let database = context
            .databases
            .get(platform)
            .ok_or_else(|| postgres::Error::Unavailable(format!("SharedPlatform {platform} was disconnected")))?;
        applied.database = database.bring(role, plan.steps.clone()).await?;
        applied.changed = true;
    }
    if !closing {
        applied.changed |= publish(plan, context).await?;
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
/// tenant is found on this platform and cleaned up there.
async fn claim(tenant: &Tenant, platform: &str, context: &Context) -> Result<(), Error> {
    let claimed = tenant.finalizers().iter().any(|one| one == labels::FINALIZER);
    let labelled = tenant.labels().get(labels::PLATFORM).is_some_and(|label| label == platform);
    if claimed && labelled && placed_on(tenant) == Some(platform) {
        return Ok(());
    }
    let mut finalizers = tenant.finalizers().to_vec();
    if !claimed {
        finalizers.push(labels::FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "resourceVersion": tenant.resource_version(),
        "finalizers": finalizers,
        "labels": { labels::PLATFORM: platform },
    }});
    let api: Api<Tenant> = Api::all(context.client.clone());
    api.patch_metadata(&tenant.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}
