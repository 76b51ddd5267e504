//! Writes of statuses.

use http::{Request, header::CONTENT_TYPE};
use kube::{Client, Resource, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

/// Replaces the status of this object, which is known by its uid. A namesake that was made after this one was deleted is another object:
/// for it the API server refuses the write, so that a late status never tells of something else.
///
/// With a `version`, it is written to that version of the object and to no other; else the answer is a conflict.
pub async fn replace<K>(object: &K, status: &impl Serialize, version: Option<&str>, client: &Client) -> kube::Result<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope> + DeserializeOwned,
{
    // A test, since metadata in a patch of a status is ignored but for the version.
    let mut patch = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": object.uid() }),
        json!({ "op": "add", "path": "/status", "value": status }),
    ];
    if let Some(version) = version {
        patch.push(json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }));
    }
    let body = serde_json::to_vec(&patch).map_err(kube::Error::SerdeError)?;
    let request = Request::patch(format!("{}/{}/status", K::url_path(&(), None), object.name_any()))
        .header(CONTENT_TYPE, "application/json-patch+json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}
