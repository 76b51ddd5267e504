//! What keeps an instance from being deleted: its tenant, while that is on it, or on its way to it.

use easycode_crds::{DedicatedInstance, conditions::reason};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    kubernetes::{definition, finalizer},
    runtime::{context::Context, error::Error},
    stack::{home::Home, status::Held},
    tenant::{placement::tenants_on, relocation},
};

/// Whether something keeps the instance from being deleted.
pub async fn held(instance: &DedicatedInstance, context: &Context) -> Result<Option<Held>, Error> {
    if !finalizer::is_set(instance) {
        return Ok(None);
    }
    if let Some(message) = definition::going(&context.client, "dedicatedinstances.easycode.io", "instances").await? {
        return Ok(Some(Held { reason: reason::CRD_DELETING, message }));
    }
    let home = Home::Instance(instance.name_any());
    let mut tenants = tenants_on(&home, context);
    if instance.status.as_ref().and_then(|status| status.database.as_ref()?.version.as_ref()).is_none() {
        // Its Postgres never answered, so it holds nothing of a tenant who is to go, too, and who waits for it in vain.
        let stays = |name: &String| {
            let tenant = context.tenants.get(&ObjectRef::new(name));
            tenant.is_some_and(|tenant| tenant.metadata.deletion_timestamp.is_none())
        };
        tenants.retain(stays);
    }
    let lives = tenants.first().map(|tenant| {
        format!("Tenant {tenant} lives on it; delete the tenant first, or move it by its spec.deployment")
    });
    let message = lives.or_else(|| relocation::holds(&home, context));
    Ok(message.map(|message| Held { reason: reason::IN_USE, message }))
}
