//! A platform of a test's own, small, in a region where no other tenant is placed.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::SharedPlatform;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, has_nodes},
    platform::{EXAMPLE, Platform, core_release},
    postgres,
    tenant::fresh_name,
    wait::until,
};

/// Longest time for a platform to come up, or to go.
pub const BRING_UP: Duration = Duration::from_mins(5);

/// A platform of a test's own. Remove it at the end.
pub struct OwnPlatform {
    /// The platform.
    pub platform: Platform,
}

impl OwnPlatform {
    /// Applies one with a fresh name, that is its region, too; it runs tenant-service and CRM of the example's release, unless `spec` says otherwise.
    pub async fn apply_new(cluster: &Cluster, what: &str, spec: Value) -> anyhow::Result<Self> {
        let own = Self { platform: Platform::of(cluster.clone(), &fresh_name(what)) };
        own.apply(spec).await?;
        Ok(own)
    }

    /// Applies the whole spec: that of the tests with `spec` over it.
    pub async fn apply(&self, spec: Value) -> anyhow::Result<()> {
        let example = self.api().get(EXAMPLE).await?.spec;
        let release = core_release(&self.platform.cluster).await?;
        let database = match spec.get("database") {
            Some(database) => database.clone(),
            None => postgres::database_of(&self.platform.cluster, &self.platform.name).await?,
        };
        let mut full = json!({
            "region": self.platform.name, "domain": "e2e.example.com", "capacity": { "tenants": 10 },
            "release": release, "identity": example.identity,
            "database": database,
        });
        for (key, value) in spec.as_object().context("spec is an object")? {
            full[key] = value.clone();
        }
        let object = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "SharedPlatform",
            "metadata": { "name": self.platform.name, "labels": { "easycode.io/e2e": "true" } }, "spec": full,
        });
        self.api().patch(&self.platform.name, &PatchParams::apply("e2e").force(), &Patch::Apply(object)).await?;
        Ok(())
    }

    /// The API of platforms.
    #[must_use]
    pub fn api(&self) -> Api<SharedPlatform> {
        Api::all(self.platform.cluster.client.clone())
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        self.platform.ready(BRING_UP).await;
    }

    /// Waits for a condition of the present generation, and returns its message.
    pub async fn condition(&self, type_: &str, status: &str, reason: &str) -> String {
        self.platform.condition(type_, status, reason, BRING_UP).await
    }

    /// Asks for its deletion, confirmed.
    pub async fn delete(&self) -> anyhow::Result<()> {
        let patch = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": self.platform.name } } });
        self.api().patch(&self.platform.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.api().delete(&self.platform.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the object is gone.
    pub async fn gone(&self) {
        until(&format!("SharedPlatform {} is gone", self.platform.name), BRING_UP, || async {
            ensure!(self.api().get_opt(&self.platform.name).await?.is_none(), "it is still there");
            Ok(())
        })
        .await;
    }

    /// Deletes it, and then what the operator leaves on purpose: its namespace with all data.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.delete().await?;
        self.gone().await;
        remove_namespace(&self.platform.cluster, &self.platform.namespace()).await?;
        postgres::remove(&self.platform.cluster, &self.platform.name).await
    }
}

/// An embedded Postgres that leaves room for others on a small node.
#[must_use]
pub fn small_postgres(image: &str) -> Value {
    let resources = json!({ "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": "768Mi" } });
    json!({ "image": image, "size": "1Gi", "maxConnections": 100, "resources": resources })
}

/// Deletes a namespace with all that is in it, confirmed, if it is there, and waits until it is gone
/// where there are nodes to be freed.
pub async fn remove_namespace(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    if namespaces.get_opt(name).await?.is_some() {
        let confirmed = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": name } } });
        namespaces.patch(name, &PatchParams::default(), &Patch::Merge(confirmed)).await?;
        namespaces.delete(name, &DeleteParams::default()).await?;
    }
    // Nothing runs there that takes up room, and no other test uses the name.
    if !has_nodes() {
        return Ok(());
    }
    until(&format!("namespace {name} is gone"), BRING_UP, || async {
        ensure!(namespaces.get_opt(name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await;
    Ok(())
}
