//! The ground of the benchmark: a Release and a platform of its own, beside the example's, and how they go away again.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, COMMON_SERVICES, TENANT_SERVICE};
use easycode_crds::{Release, SharedPlatform, Tenant, conditions, release::ReleasedService};
use easycode_operator::stack::home::Home;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{progress, watch::Watch};
use crate::{
    cluster::Cluster,
    platform::{EXAMPLE, Platform},
    reach::reach,
    tenant::tenants,
    wait::until,
};

/// Name of platform, region and Release.
pub const NAME: &str = "bench";
/// Label of the benchmark's tenants.
pub const LABEL: &str = "easycode.io/bench";
/// The business services of the platform for many tenants. All of them run CRM's image, which serves under any name.
pub const SERVICES: [&str; 5] = ["crm", "finance", "inventory", "pos", "procurement"];
/// Longest time for all that is deleted to be gone.
const PATIENCE: Duration = Duration::from_mins(15);

/// Longest time until the operator has tried a new platform's isolation.
const FIRST_TRIAL: Duration = Duration::from_mins(3);

/// What the platform runs.
#[derive(Clone, Copy, Debug)]
pub enum Programs {
    /// CRM under the name of each of the [`SERVICES`], so that all cost the same.
    Crm,
    /// The services of the example's release.
    Release,
}

/// The platform, ready.
pub struct Ground {
    /// The platform.
    pub platform: Platform,
    /// What is seen of the tenants.
    pub watch: Arc<Watch>,
    /// Keys that the platform accepts tokens by.
    pub jwks: String,
    /// Its services.
    pub services: Vec<ReleasedService>,
}

impl Ground {
    /// Makes Release and platform after the example's, and waits until the platform is ready.
    pub async fn prepare(cluster: &Cluster, capacity: u16, programs: Programs) -> anyhow::Result<Self> {
        let platforms: Api<SharedPlatform> = Api::all(cluster.client.clone());
        let example = platforms.get(EXAMPLE).await.context("the example platform is missing; run e2e/example.sh")?;
        let releases: Api<Release> = Api::all(cluster.client.clone());
        let model = releases.get(&example.spec.release).await?.spec;
        let embedded = example.spec.database.embedded.context("the example platform has no embedded Postgres")?;
        let jwks = example.spec.identity.jwks.clone().context("the example platform has its keys elsewhere")?;
        let find = |name: &str| {
            let found = model.services.iter().find(|service| service.name == name);
            found.cloned().with_context(|| format!("release {} has no {name}", model.version))
        };
        let services = match programs {
            Programs::Release => model.services.clone(),
            Programs::Crm => {
                let crm = find("crm")?;
                let named = |name: &str| ReleasedService { name: name.to_owned(), ..crm.clone() };
                std::iter::once(find(TENANT_SERVICE)?).chain(SERVICES.into_iter().map(named)).collect()
            }
        };
        apply(&releases, "Release", json!({ "version": format!("{}-bench", model.version), "services": services }))
            .await?;
        let spec = json!({
            "region": NAME, "domain": "bench.example.com", "release": NAME,
            // Just enough, so that tenants of others are placed elsewhere.
            "capacity": { "tenants": capacity },
            "database": { "embedded": embedded },
            "identity": example.spec.identity,
        });
        apply(&platforms, "SharedPlatform", spec).await?;
        progress("waiting for its Postgres, migrations and services");
        let platform = Platform::named(cluster.clone(), NAME).await?;
        progress("waiting until its isolation was tried, which is told of each tenant that is there");
        until("its isolation was tried", FIRST_TRIAL, || async {
            let status = platforms.get(NAME).await?.status.unwrap_or_default();
            ensure!(status.conditions.iter().any(|one| one.type_ == conditions::ISOLATION_VERIFIED), "not yet");
            Ok(())
        })
        .await;
        Ok(Self { platform, watch: Watch::start(cluster).await, jwks, services })
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.platform.cluster
    }

    /// Address of a service's API.
    pub async fn address(&self, service: &str) -> anyhow::Result<SocketAddr> {
        reach(self.cluster(), &self.platform.namespace(), service, API_PORT).await
    }

    /// What a tenant is to be entitled to, so that it can use everything.
    #[must_use]
    pub fn entitlements(&self) -> Vec<Value> {
        let business = self.services.iter().filter(|one| !COMMON_SERVICES.contains(&one.name.as_str()));
        business.map(|one| json!({ "service": one.name, "modules": one.modules })).collect()
    }

    /// Base URL of CRM under one of its names.
    pub async fn crm(&self, service: &str) -> anyhow::Result<String> {
        Ok(format!("http://{}/{service}/v1", self.address(service).await?))
    }
}

async fn apply<K>(api: &Api<K>, kind: &str, spec: Value) -> anyhow::Result<()>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let object = json!({
        "apiVersion": "easycode.io/v1alpha1", "kind": kind, "metadata": { "name": NAME }, "spec": spec,
    });
    api.patch(NAME, &PatchParams::apply(NAME).force(), &Patch::Apply(object)).await?;
    Ok(())
}

/// Erases the tenants, then removes platform, namespace and Release: those of this run, or what an interrupted one has
/// left. Returns how many tenants a second were erased, if there were any.
pub async fn clear(cluster: &Cluster) -> anyhow::Result<Option<f64>> {
    let erased = erase_tenants(&tenants(cluster)).await?;
    let platforms: Api<SharedPlatform> = Api::all(cluster.client.clone());
    remove(&platforms, NAME).await?;
    // The operator never removes a namespace, since the data is in it.
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    remove(&namespaces, &Home::Platform(NAME.to_owned()).namespace()).await?;
    let releases: Api<Release> = Api::all(cluster.client.clone());
    remove(&releases, NAME).await?;
    Ok(erased)
}

async fn erase_tenants(api: &Api<Tenant>) -> anyhow::Result<Option<f64>> {
    let ours = ListParams::default().labels(LABEL);
    let count = api.list_metadata(&ours).await?.items.len();
    if count == 0 {
        return Ok(None);
    }
    let started = Instant::now();
    api.delete_collection(&DeleteParams::default(), &ours).await?;
    loop {
        let left = api.list_metadata(&ours).await?.items.len();
        let seconds = started.elapsed().as_secs_f64();
        progress(&format!("{}/{count} tenants erased after {seconds:.0} s", count - left.min(count)));
        if left == 0 {
            return Ok(Some(f64::from(u32::try_from(count)?) / seconds));
        }
        ensure!(started.elapsed() < PATIENCE, "{left} tenants are not gone; see their conditions");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn remove<K>(api: &Api<K>, name: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let started = Instant::now();
    while let Some(object) = api.get_metadata_opt(name).await? {
        if object.metadata.deletion_timestamp.is_none() {
            progress(&format!("removing {} {name}", K::kind(&())));
            // What holds data is protected, unless its deletion is confirmed.
            let confirm = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": name } } });
            api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(confirm)).await?;
            api.delete(name, &DeleteParams::default()).await?;
        }
        ensure!(started.elapsed() < PATIENCE, "{} {name} is not gone", K::kind(&()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
