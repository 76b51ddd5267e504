//! Deletes an instance: not while its tenant is on it, and never its data. What serves is removed; the namespace with Postgres,
//! its volume and its Secrets stays until ops delete the namespace.

use easycode_crds::{DedicatedInstance, conditions::reason};
use kube::{
    ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};

use crate::{
    audit,
    kubernetes::{definition, finalizer, labels},
    runtime::{context::Context, error::Error},
    stack::{apply, home::Home, status::Held},
    tenant::placement::tenants_on,
};

/// Whether something keeps the instance from being deleted.
pub async fn held(instance: &DedicatedInstance, context: &Context) -> Result<Option<Held>, Error> {
    if !finalizer::is_set(instance) {
        return Ok(None);
    }
    if definition::is_going(&context.client, "dedicatedinstances.easycode.io").await? {
        let message = "the definition of instances is being deleted; nothing is torn down for that. docs/runbook.md says under DefinitionDeleting how to get it back";
        return Ok(Some(Held { reason: reason::CRD_DELETING, message: message.to_owned() }));
    }
    let mut tenants = tenants_on(&Home::Instance(instance.name_any()), context);
    if instance.status.as_ref().and_then(|status| status.database.as_ref()?.version.as_ref()).is_none() {
        // Its Postgres never answered, so it holds nothing of a tenant who is to go, too, and who waits for it in vain.
        let stays = |name: &String| {
            let tenant = context.tenants.get(&ObjectRef::new(name));
            tenant.is_some_and(|tenant| tenant.metadata.deletion_timestamp.is_none())
        };
        tenants.retain(stays);
    }
    Ok(tenants.first().map(|tenant| Held {
        reason: reason::IN_USE,
        message: format!("Tenant {tenant} lives on it; delete the tenant first, or move it by its spec.deployment"),
    }))
}

/// Deletes what serves, and lets the object go.
pub async fn delete(instance: &DedicatedInstance, context: &Context) -> Result<Action, Error> {
    if !finalizer::is_set(instance) {
        return Ok(Action::await_change());
    }
    let home = Home::Instance(instance.name_any());
    // As far as its Postgres answers: a deletion must not wait for one that is gone.
    audit::record_due(instance, &home, context).await?;
    apply::stop(&home, context).await?;
    for release in context.releases.state() {
        context.triggers.release(&release.name_any());
    }
    let namespace = home.namespace();
    let note = format!(
        "the services are removed; Postgres, its volume and its Secrets stay. To erase them, annotate namespace {namespace} with {}={namespace} and delete it",
        labels::CONFIRM_DELETE
    );
    context.events.normal(instance, "Delete", "DataRetained", note).await;
    finalizer::release(instance, &context.client).await?;
    Ok(Action::await_change())
}
