//! The custom resources that a plan is made from: those in files, and those of the cluster. Nothing here plans.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, bail};
use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant, instance::ReleaseRef};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::release::choice::{self, Missing};

/// Custom resources by kind, in the order they were read.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Client companies.
    pub tenants: Vec<Tenant>,
    /// Shared installations.
    pub platforms: Vec<Arc<SharedPlatform>>,
    /// Dedicated installations.
    pub instances: Vec<Arc<DedicatedInstance>>,
    /// Releases.
    pub releases: Vec<Arc<Release>>,
    /// Channels of releases.
    pub channels: Vec<Arc<ReleaseChannel>>,
}

impl Catalogue {
    /// Adds the documents of a YAML file, or of all in a folder.
    pub fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
            let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
            paths.sort();
            return paths.iter().try_for_each(|path| self.read(path));
        }
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is no YAML", path.display()))?;
        documents
            .iter()
            .filter(|document| !document.is_null())
            .try_for_each(|document| self.add(document).with_context(|| path.display().to_string()))
    }

    fn add(&mut self, document: &Value) -> anyhow::Result<()> {
        let kind = document["kind"].as_str().unwrap_or_default();
        let Some(name) = document["metadata"]["name"].as_str() else { bail!("a {kind} has no metadata.name") };
        let named = || format!("{kind} {name}");
        match kind {
            "Tenant" => self.tenants.push(parse(document).with_context(named)?),
            "SharedPlatform" => self.platforms.push(Arc::new(parse(document).with_context(named)?)),
            "DedicatedInstance" => self.instances.push(Arc::new(parse(document).with_context(named)?)),
            "Release" => self.releases.push(Arc::new(parse(document).with_context(named)?)),
            "ReleaseChannel" => self.channels.push(Arc::new(parse(document).with_context(named)?)),
            other => {
                bail!("this plans Tenant, SharedPlatform, DedicatedInstance, Release and ReleaseChannel, not {other:?}")
            }
        }
        Ok(())
    }

    /// All of the cluster.
    pub async fn list(client: &Client) -> anyhow::Result<Self> {
        Ok(Self {
            tenants: list(client).await?,
            platforms: list(client).await?.into_iter().map(Arc::new).collect(),
            instances: list(client).await?.into_iter().map(Arc::new).collect(),
            releases: list(client).await?.into_iter().map(Arc::new).collect(),
            channels: list(client).await?.into_iter().map(Arc::new).collect(),
        })
    }

    /// The tenant of the name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.name_any() == name)
    }

    /// The platform of the name.
    #[must_use]
    pub fn platform(&self, name: &str) -> Option<&Arc<SharedPlatform>> {
        self.platforms.iter().find(|platform| platform.name_any() == name)
    }

    /// The instance of the name.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<&Arc<DedicatedInstance>> {
        self.instances.iter().find(|instance| instance.name_any() == name)
    }

    /// The release of the name.
    #[must_use]
    pub fn release(&self, name: &str) -> Option<&Arc<Release>> {
        self.releases.iter().find(|release| release.name_any() == name)
    }

    /// The channel of the name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Arc<ReleaseChannel>> {
        self.channels.iter().find(|channel| channel.name_any() == name)
    }

    /// The release that an instance is to run.
    pub fn wanted(&self, release: &ReleaseRef) -> Result<Arc<Release>, Missing> {
        choice::choose(release, &self.channels, &self.releases)
    }

    /// These, as they would be once applied to a cluster that has the others: what a person wants stays, what only the
    /// cluster knows is taken from there.
    #[must_use]
    pub fn applied_to(mut self, cluster: &Self) -> Self {
        for tenant in &mut self.tenants {
            let known = cluster.tenant(&tenant.name_any());
            let changed = known.is_none_or(|known| known.spec != tenant.spec);
            tenant.status = known.and_then(|known| known.status.clone());
            inherit(tenant, known, changed);
        }
        for platform in &mut self.platforms {
            let known = cluster.platform(&platform.name_any());
            let changed = known.is_none_or(|known| known.spec != platform.spec);
            let platform = Arc::make_mut(platform);
            platform.status = known.and_then(|known| known.status.clone());
            inherit(platform, known.map(AsRef::as_ref), changed);
        }
        for release in &mut self.releases {
            let known =
                cluster.release(&release.name_any()).and_then(|known| known.metadata.creation_timestamp.clone());
            Arc::make_mut(release).metadata.creation_timestamp = known;
        }
        for instance in &mut self.instances {
            let known = cluster.instance(&instance.name_any());
            let changed = known.is_none_or(|known| known.spec != instance.spec);
            let instance = Arc::make_mut(instance);
            instance.status = known.and_then(|known| known.status.clone());
            inherit(instance, known.map(AsRef::as_ref), changed);
        }
        self
    }

    /// What tenants can be served by: platforms, instances, releases and channels, and those of the other that are not among them.
    #[must_use]
    pub fn offer_over(&self, other: &Self) -> Self {
        let platforms = other.platforms.iter().filter(|one| self.platform(&one.name_any()).is_none());
        let instances = other.instances.iter().filter(|one| self.instance(&one.name_any()).is_none());
        let releases = other.releases.iter().filter(|one| self.release(&one.name_any()).is_none());
        let channels = other.channels.iter().filter(|one| self.channel(&one.name_any()).is_none());
        Self {
            tenants: Vec::new(),
            platforms: self.platforms.iter().chain(platforms).map(Arc::clone).collect(),
            instances: self.instances.iter().chain(instances).map(Arc::clone).collect(),
            releases: self.releases.iter().chain(releases).map(Arc::clone).collect(),
            channels: self.channels.iter().chain(channels).map(Arc::clone).collect(),
        }
    }
}

/// The metadata that an apply leaves as it is, and the generation that the API server will count.
fn inherit<K: Resource>(object: &mut K, known: Option<&K>, spec_changed: bool) {
    let generation = known.and_then(|known| known.meta().generation).unwrap_or_default();
    object.meta_mut().generation = Some(generation + i64::from(spec_changed));
    let Some(known) = known else { return };
    object.meta_mut().uid.clone_from(&known.meta().uid);
    object.meta_mut().deletion_timestamp.clone_from(&known.meta().deletion_timestamp);
    for (key, value) in known.labels() {
        object.labels_mut().entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in known.annotations() {
        object.annotations_mut().entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// All of a kind in the cluster.
pub async fn list<K>(client: &Client) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let found = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
    Ok(found.with_context(|| format!("listing {}", K::plural(&())))?.items)
}

fn parse<T: DeserializeOwned>(document: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(document)
}

#[cfg(test)]
mod tests {
    use easycode_crds::TenantStatus;
    use serde_json::json;

    use super::*;

    fn tenant(state: &str) -> Value {
        json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme" },
            "spec": { "displayName": "Acme", "state": state },
        })
    }

    fn with(documents: &[Value]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for document in documents {
            catalogue.add(document).unwrap();
        }
        catalogue
    }

    #[test]
    fn what_only_the_cluster_knows_is_taken_from_there() {
        let mut cluster = with(&[tenant("Active")]);
        let known = &mut cluster.tenants[0];
        known.metadata.uid = Some("u1".into());
        known.metadata.generation = Some(4);
        known.labels_mut().insert("easycode.io/platform".into(), "eu1".into());
        known.status = Some(TenantStatus { platform: Some("eu1".into()), ..TenantStatus::default() });

        let same = with(&[tenant("Active")]).applied_to(&cluster);
        assert_eq!(same.tenants, cluster.tenants);

        let changed = with(&[tenant("Suspended")]).applied_to(&cluster);
        assert_eq!(changed.tenants[0].metadata.generation, Some(5));
        assert_eq!(changed.tenants[0].spec.state, easycode_crds::tenant::State::Suspended);

        let fresh = with(&[tenant("Active")]).applied_to(&Catalogue::default());
        assert_eq!(fresh.tenants[0].metadata.generation, Some(1));
    }

    #[test]
    fn a_document_that_is_not_understood_is_named() {
        let refused = |document: &Value| format!("{:#}", Catalogue::default().add(document).unwrap_err());
        assert!(refused(&json!({ "kind": "Pod", "metadata": { "name": "p" } })).contains("not \"Pod\""));
        assert!(refused(&json!({ "kind": "Tenant" })).contains("no metadata.name"));
        let bad = json!({ "kind": "Tenant", "metadata": { "name": "acme" }, "spec": { "displayName": 1 } });
        assert!(refused(&bad).starts_with("Tenant acme: "), "{}", refused(&bad));
    }
}
