//! Deletes a platform: not while tenants are on it, and never its data. What serves is removed; the namespace with Postgres,
//! its volume and its Secrets stays until ops delete the namespace.

use easycode_crds::{SharedPlatform, conditions::reason};
use kube::{ResourceExt, runtime::controller::Action};

use super::status;
use crate::{
    audit,
    kubernetes::{definition, finalizer, labels},
    runtime::{context::Context, error::Error},
    stack::{apply, home::Home, status::Held},
    tenant::placement::tenants_on,
};

/// Whether something keeps the platform from being deleted.
pub async fn held(platform: &SharedPlatform, context: &Context) -> Result<Option<Held>, Error> {
    if !finalizer::is_set(platform) {
        return Ok(None);
    }
    if definition::is_going(&context.client, "sharedplatforms.easycode.io").await? {
        let message = "the definition of platforms is being deleted; nothing is torn down for that. docs/runbook.md says under DefinitionDeleting how to get it back";
        return Ok(Some(Held { reason: reason::CRD_DELETING, message: message.to_owned() }));
    }
    let tenants = tenants_on(&Home::Platform(platform.name_any()), context);
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
    if !finalizer::is_set(platform) {
        return Ok(Action::await_change());
    }
    let home = Home::Platform(platform.name_any());
    let namespace = home.namespace();
    // As far as its Postgres answers: a deletion must not wait for one that is gone.
    audit::record_due(platform, &home, context).await?;
    apply::stop(&home, context).await?;
    status::trigger_releases(context);
    let note = format!(
        "the services are removed; Postgres, its volume and its Secrets stay. To erase them, annotate namespace {namespace} with {}={namespace} and delete it",
        labels::CONFIRM_DELETE
    );
    context.events.normal(platform, "Delete", "DataRetained", note).await;
    finalizer::release(platform, &context.client).await?;
    Ok(Action::await_change())
}
