//! Releases that a test makes out of another. Remove them at the end.

use easycode_crds::Release;
use kube::{
    Api, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::cluster::Cluster;

/// A release with what the other has, changed.
pub async fn like(
    cluster: &Cluster,
    other: &str,
    name: &str,
    change: impl Fn(&mut Release),
) -> anyhow::Result<Release> {
    let releases: Api<Release> = Api::all(cluster.client.clone());
    let mut release = Release::new(name, releases.get(other).await?.spec);
    change(&mut release);
    Ok(releases.create(&PostParams::default(), &release).await?)
}

/// Removes a release.
pub async fn remove(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    remove_confirmed::<Release>(&Api::all(cluster.client.clone()), name).await
}

/// Deletes what may still be counted as in use, with the confirmation that this takes.
pub async fn remove_confirmed<K>(api: &Api<K>, name: &str) -> anyhow::Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let confirm = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": name } } });
    api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(confirm)).await?;
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}
