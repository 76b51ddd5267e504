//! What a kubelet mounts into a pod: Secrets and ConfigMaps as folders, kept as they are in the cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};
use kube::{Api, Client, ResourceExt};
use tempfile::TempDir;

/// How often a mounted Secret is looked at. A kubelet takes up to a minute.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

type Files = BTreeMap<String, Vec<u8>>;

/// The folders of a pod, by the names of its volumes.
pub(super) struct Mounts {
    root: TempDir,
}

impl Mounts {
    /// Mounts what is there of the pod's Secrets and ConfigMaps. An error names what is missing.
    pub(super) async fn of(client: &Client, pod: &Pod) -> anyhow::Result<Self> {
        let own = Self { root: TempDir::new()? };
        for volume in volumes(pod) {
            if let Some(files) = files(client, pod, volume).await? {
                fs::create_dir(own.path(&volume.name))?;
                write(&own.path(&volume.name), &files)?;
            }
        }
        Ok(own)
    }

    /// The folder of a volume.
    pub(super) fn path(&self, volume: &str) -> PathBuf {
        self.root.path().join(volume)
    }

    /// Brings changes of the Secrets into the folders, for ever.
    pub(super) async fn follow(&self, client: &Client, pod: &Pod) {
        loop {
            tokio::time::sleep(SYNC_INTERVAL).await;
            for volume in volumes(pod) {
                // What is gone for a while stays mounted as it was.
                if let Ok(Some(files)) = files(client, pod, volume).await
                    && let Err(error) = write(&self.path(&volume.name), &files)
                {
                    tracing::warn!(%error, volume = volume.name, "a mounted Secret was not renewed");
                }
            }
        }
    }
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

/// The files of a volume; none if it is of another kind, or optional and not there.
async fn files(client: &Client, pod: &Pod, volume: &Volume) -> anyhow::Result<Option<Files>> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        let found = Api::<Secret>::namespaced(client.clone(), &namespace).get_opt(&name).await?;
        if found.is_none() && source.optional == Some(true) {
            return Ok(None);
        }
        let data = found.with_context(|| format!("secret \"{name}\" not found"))?.data.unwrap_or_default();
        return Ok(Some(data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect()));
    }
    if let Some(source) = &volume.config_map {
        let found = Api::<ConfigMap>::namespaced(client.clone(), &namespace).get_opt(&source.name).await?;
        let data = found.with_context(|| format!("configmap \"{}\" not found", source.name))?.data.unwrap_or_default();
        return Ok(Some(data.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()));
    }
    Ok(None)
}

/// Writes files that are not so yet.
fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        if fs::read(&path).ok().as_ref() != Some(bytes) {
            fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}
