//! Deletes a stack, whichever resource asked for it, but never its data: what serves is removed; the namespace with Postgres, its
//! volume and its Secrets stays until ops delete the namespace.

use std::fmt::Debug;

use kube::{Resource, core::object::HasSpec, runtime::controller::Action};
use serde::{Serialize, de::DeserializeOwned};

use super::{apply, home::Home};
use crate::{
    audit,
    kubernetes::{finalizer, labels},
    runtime::{context::Context, error::Error},
};

/// Deletes what serves, and lets the object go.
pub async fn delete<K>(object: &K, home: &Home, context: &Context) -> Result<Action, Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>,
    K: HasSpec + Clone + Debug + DeserializeOwned,
    K::Spec: Serialize,
{
    if !finalizer::is_set(object) {
        return Ok(Action::await_change());
    }
    // As far as its Postgres answers: a deletion must not wait for one that is gone.
    audit::record_due(object, home, context).await?;
    apply::stop(home, context).await?;
    context.trigger_releases();
    let namespace = home.namespace();
    let note = format!(
        "the services are removed; Postgres, its volume and its Secrets stay. To erase them, annotate namespace {namespace} with {}={namespace} and delete it",
        labels::CONFIRM_DELETE
    );
    context.events.normal(object, "Delete", "DataRetained", note).await;
    finalizer::release(object, &context.client).await?;
    Ok(Action::await_change())
}
