//! Deletes a platform: not while tenants are on it, and never its data. What serves is removed; the namespace with Postgres,
//! its volume and its Secrets stays until ops delete the namespace.

use easycode_crds::{SharedPlatform, conditions::reason};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;

use super::{namespace_of, observe::tenants_on, status};
use crate::{
    kubernetes::{definition, labels, object::Kind},
    runtime::{context::Context, error::Error},
};

/// Why the deletion has to wait.
pub struct Held {
    /// Condition reason.
    pub reason: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

/// Whether something keeps the platform from being deleted.
pub async fn held(platform: &SharedPlatform, context: &Context) -> Result<Option<Held>, Error> {
    if !platform.finalizers().iter().any(|one| one == labels::FINALIZER) {
        return Ok(None);
    }
    if definition::is_going(&context.client, "sharedplatforms.easycode.io").await? {
        let message = "the definition of platforms is being deleted; nothing is torn down for that. docs/runbook.md says under DefinitionDeleting how to get it back";
        return Ok(Some(Held { reason: reason::CRD_DELETING, message: message.to_owned() }));
    }
    let tenants = tenants_on(&platform.name_any(), context);
    if tenants.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "{} tenants are on it, such as {}; it is deleted once they are",
        tenants.len(),
        tenants.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    Ok(Some(Held { reason: reason::IN_USE, message }))
}

/// Deletes what serves, and lets the object go.
pub async fn delete(platform: &SharedPlatform, context: &Context) -> Result<Action, Error> {
    if !platform.finalizers().iter().any(|one| one == labels::FINALIZER) {
        return Ok(Action::await_change());
    }
    let name = platform.name_any();
    let namespace = namespace_of(&name);
    for kind in [Kind::Ingress, Kind::Deployment, Kind::Job, Kind::PodDisruptionBudget] {
        for live in context.caches.list(kind, &namespace) {
            context.applier.delete(kind, &namespace, &live.name_any()).await?;
        }
    }
    context.databases.remove(&name);
    status::trigger_releases(context);
    let note = format!(
        "the services are removed; Postgres, its volume and its Secrets stay. To erase them, annotate namespace {namespace} with {}={namespace} and delete it",
        labels::CONFIRM_DELETE
    );
    context.events.normal(platform, "Delete", "DataRetained", note).await;
    release(platform, context).await?;
    Ok(Action::await_change())
}

async fn release(platform: &SharedPlatform, context: &Context) -> Result<(), Error> {
    let finalizers: Vec<_> = platform.finalizers().iter().filter(|one| *one != labels::FINALIZER).collect();
    let patch = json!({"metadata": { "resourceVersion": platform.resource_version(), "finalizers": finalizers }});
    let api: Api<SharedPlatform> = Api::all(context.client.clone());
    match api.patch_metadata(&platform.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
