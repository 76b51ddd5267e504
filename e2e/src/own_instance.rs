//! A dedicated instance of a test's own, small, with its tenant.

use anyhow::{Context, ensure};
use easycode_crds::{DedicatedInstance, DedicatedInstanceStatus, Release, SharedPlatform};
use easycode_operator::stack::home::Home;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    own_platform::{BRING_UP, remove_namespace},
    platform::{EXAMPLE, Platform},
    postgres,
    tenant::{TestTenant, fresh_name},
    wait::until,
};

/// An instance of a test's own, and the tenant of the same name. Remove it at the end.
pub struct OwnInstance {
    /// The instance, as what a platform is.
    pub platform: Platform,
    /// The tenant that it is for.
    pub tenant: TestTenant,
}

impl OwnInstance {
    /// Applies one with a fresh name, and its tenant, which may use CRM; it runs the example platform's release in the
    /// cluster's region, unless `spec` says otherwise.
    pub async fn apply_new(cluster: &Cluster, what: &str, spec: Value) -> anyhow::Result<Self> {
        let own = Self::named(cluster, &fresh_name(what));
        own.apply(spec).await?;
        own.tenant.apply(json!({})).await?;
        Ok(own)
    }

    /// One of the name, which may not exist yet.
    #[must_use]
    pub fn named(cluster: &Cluster, name: &str) -> Self {
        let platform = Platform::at(cluster.clone(), Home::Instance(name.to_owned()));
        Self { tenant: TestTenant { platform: platform.clone(), name: name.to_owned() }, platform }
    }

    /// Applies the whole spec: that of the tests with `spec` over it.
    pub async fn apply(&self, spec: Value) -> anyhow::Result<()> {
        let object = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "DedicatedInstance",
            "metadata": { "name": self.platform.name, "labels": { "easycode.io/e2e": "true" } },
            "spec": self.spec(spec).await?,
        });
        self.api().patch(&self.platform.name, &PatchParams::apply("e2e").force(), &Patch::Apply(object)).await?;
        Ok(())
    }

    /// The spec of the tests with `spec` over it.
    pub async fn spec(&self, spec: Value) -> anyhow::Result<Value> {
        let cluster = &self.platform.cluster;
        let example = Api::<SharedPlatform>::all(cluster.client.clone()).get(EXAMPLE).await?.spec;
        let releases: Api<Release> = Api::all(cluster.client.clone());
        let version = releases.get(&example.release).await?.spec.version;
        let database = match spec.get("database") {
            Some(database) => database.clone(),
            None => postgres::database_of(cluster, &self.platform.name).await?,
        };
        let mut full = json!({
            "tenantRef": { "name": self.tenant.name }, "release": { "version": version },
            "location": { "region": cluster.region().await? }, "identity": example.identity,
            "database": database,
        });
        for (key, value) in spec.as_object().context("spec is an object")? {
            full[key] = value.clone();
        }
        Ok(full)
    }

    /// Changes fields of the spec.
    pub async fn change(&self, spec: Value) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api().patch(&self.platform.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Sets an annotation, or takes it away.
    pub async fn annotate(&self, key: &str, value: Value) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        self.api().patch(&self.platform.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The API of instances.
    #[must_use]
    pub fn api(&self) -> Api<DedicatedInstance> {
        Api::all(self.platform.cluster.client.clone())
    }

    /// What is said of it now.
    pub async fn status(&self) -> anyhow::Result<DedicatedInstanceStatus> {
        self.api().get(&self.platform.name).await?.status.context("no status yet")
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.platform.namespace()
    }

    /// Waits until it is ready, and its tenant.
    pub async fn ready(&self) {
        self.platform.ready(BRING_UP).await;
        self.tenant.ready().await;
    }

    /// Waits for a condition of the present generation, and returns its message.
    pub async fn condition(&self, type_: &str, status: &str, reason: &str) -> String {
        self.platform.condition(type_, status, reason, BRING_UP).await
    }

    /// Waits until a condition is `False` with the reason and a message that has the hint in it.
    pub async fn says(&self, type_: &str, reason: &str, hint: &str) -> String {
        until(&format!("{} says {reason}: {hint}", self.platform.home), BRING_UP, || async {
            let told = self.condition(type_, "False", reason).await;
            ensure!(told.contains(hint), "it says {told}");
            Ok(told)
        })
        .await
    }

    /// Asks for its deletion, confirmed.
    pub async fn delete(&self) -> anyhow::Result<()> {
        self.annotate("easycode.io/confirm-delete", json!(self.platform.name)).await?;
        self.api().delete(&self.platform.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the object is gone.
    pub async fn gone(&self) {
        until(&format!("{} is gone", self.platform.home), BRING_UP, || async {
            ensure!(self.api().get_opt(&self.platform.name).await?.is_none(), "it is still there");
            Ok(())
        })
        .await;
    }

    /// Deletes the tenant with its data, the instance, and then what the operator leaves on purpose: the namespace.
    pub async fn remove(self) -> anyhow::Result<()> {
        if self.tenant.api().get_opt(&self.tenant.name).await?.is_some() {
            self.tenant.discard().await?;
        }
        self.delete().await?;
        // Which one goes first depends on whether the instance ever had a database.
        self.gone().await;
        self.tenant.gone().await;
        remove_namespace(&self.platform.cluster, &self.namespace()).await?;
        postgres::remove(&self.platform.cluster, &self.platform.name).await
    }
}

/// Returns the Deployment of a service of the instance.
pub async fn deployment(own: &OwnInstance, service: &str) -> anyhow::Result<Deployment> {
    let deployments: Api<Deployment> = Api::namespaced(own.platform.cluster.client.clone(), &own.namespace());
    Ok(deployments.get(service).await?)
}
