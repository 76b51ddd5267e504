//! Writes of statuses.

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Merges a patch into the status of this object, which is known by its uid. A namesake that was made after this one was deleted is
/// another object: for it the API server refuses the write, so that a late status never tells of something else.
pub async fn patch<K>(object: &K, mut patch: Value, client: &Client) -> kube::Result<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope> + DeserializeOwned,
{
    patch["metadata"]["uid"] = object.uid().into();
    let api: Api<K> = Api::all(client.clone());
    api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await
}
