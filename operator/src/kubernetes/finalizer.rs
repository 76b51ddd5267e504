//! The operator's finalizer: set before anything is made for an object, taken away when nothing is left to do for it.

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{FIELD_MANAGER, labels::FINALIZER};

/// Whether the object has the finalizer.
pub fn is_set(object: &impl Resource) -> bool {
    object.meta().finalizers.iter().flatten().any(|one| one == FINALIZER)
}

/// Sets it, and the labels given, in one write. `null` takes a label away.
pub async fn claim<K>(object: &K, labels: Value, client: &Client) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    K: Resource<Scope = k8s_openapi::ClusterResourceScope>,
{
    let mut finalizers = object.finalizers().to_vec();
    if !is_set(object) {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({ "metadata": {
        "uid": object.uid(), "resourceVersion": object.resource_version(), "finalizers": finalizers, "labels": labels,
    } });
    let api: Api<K> = Api::all(client.clone());
    api.patch_metadata(&object.name_any(), &params(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Takes it away, which lets a deleted object go. It being gone already is fine.
pub async fn release<K>(object: &K, client: &Client) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    K: Resource<Scope = k8s_openapi::ClusterResourceScope>,
{
    let finalizers: Vec<_> = object.finalizers().iter().filter(|one| *one != FINALIZER).collect();
    let patch = json!({ "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers } });
    let api: Api<K> = Api::all(client.clone());
    match api.patch_metadata(&object.name_any(), &params(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// Under its own name, so that the audit trail does not take the operator for whoever else has none.
fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
