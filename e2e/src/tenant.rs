//! A tenant made for a test, and what is observed of it.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::Tenant;
use easycode_operator::stack::home::Home;
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    leftovers,
    platform::{Answer, Platform},
    tokens,
    wait::until,
};

/// Longest time for a change of a tenant to be reconciled in a test.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// With what the name of everything of a test begins.
const OF_A_TEST: &str = "e2e-";

/// A tenant of a test. Erase it at the end.
#[derive(Clone)]
pub struct TestTenant {
    /// Its platform, or its instance.
    pub platform: Platform,
    /// Its name.
    pub name: String,
}

/// A name that no other test uses.
///
/// # Panics
///
/// If it can't be remembered, for what it names to be taken away if the test fails.
#[must_use]
pub fn fresh_name(what: &str) -> String {
    let name = format!("{OF_A_TEST}{what}-{:06x}", rand::random_range(0..0x0100_0000));
    leftovers::remember(&name).expect("names are written below target/nextest");
    name
}

/// Whether it is such a name.
#[must_use]
pub fn is_of_a_test(name: &str) -> bool {
    name.starts_with(OF_A_TEST)
}

impl TestTenant {
    /// Makes a tenant with a fresh name on the platform and waits until it is ready. `spec` adds to the defaults.
    pub async fn create(platform: &Platform, what: &str, spec: Value) -> anyhow::Result<Self> {
        let tenant = Self::apply_new(platform, what, spec).await?;
        tenant.ready().await;
        Ok(tenant)
    }

    /// Makes a tenant and doesn't wait.
    pub async fn apply_new(platform: &Platform, what: &str, spec: Value) -> anyhow::Result<Self> {
        let tenant = Self { platform: platform.clone(), name: fresh_name(what) };
        tenant.apply(spec).await?;
        Ok(tenant)
    }

    /// Applies the whole spec: the defaults of the tests with `spec` over them.
    pub async fn apply(&self, spec: Value) -> anyhow::Result<Tenant> {
        let deployment = match &self.platform.home {
            Home::Platform(name) => json!({ "platform": name }),
            Home::Instance(name) => json!({ "model": "Dedicated", "instance": name }),
        };
        let mut full = json!({
            "displayName": self.name, "deployment": deployment,
            "entitlements": [{ "service": "crm" }], "deletionPolicy": "Delete",
        });
        for (key, value) in spec.as_object().context("spec is an object")? {
            full[key] = value.clone();
        }
        let object = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant",
            "metadata": { "name": self.name, "labels": { "easycode.io/e2e": "true" } }, "spec": full,
        });
        let params = PatchParams::apply("e2e").force();
        Ok(self.api().patch(&self.name, &params, &Patch::Apply(object)).await?)
    }

    /// Changes fields of the spec.
    pub async fn change(&self, spec: Value) -> anyhow::Result<Tenant> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        Ok(self.api().patch(&self.name, &PatchParams::default(), &patch).await?)
    }

    /// Sets an annotation.
    pub async fn annotate(&self, key: &str, value: &str) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        self.api().patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// As it is now.
    pub async fn get(&self) -> anyhow::Result<Tenant> {
        Ok(self.api().get(&self.name).await?)
    }

    /// The API of tenants.
    #[must_use]
    pub fn api(&self) -> Api<Tenant> {
        tenants(&self.platform.cluster)
    }

    /// Waits until `Ready` is `True` for the present generation.
    pub async fn ready(&self) -> Tenant {
        self.condition("Ready", "True", "").await
    }

    /// Waits for a condition of the present generation, with a reason unless that is empty.
    pub async fn condition(&self, type_: &str, status: &str, reason: &str) -> Tenant {
        until(&format!("tenant {}: {type_} is {status} {reason}", self.name), PATIENCE, || async {
            let tenant = self.get().await?;
            let conditions = tenant.status.iter().flat_map(|status| &status.conditions);
            let found = conditions.clone().find(|one| one.type_ == type_).context("no such condition yet")?;
            ensure!(found.status == status, "{} {}: {}", found.status, found.reason, found.message);
            ensure!(reason.is_empty() || found.reason == reason, "reason {}: {}", found.reason, found.message);
            ensure!(found.observed_generation == tenant.metadata.generation, "the spec was not looked at yet");
            Ok(tenant)
        })
        .await
    }

    /// Role and schema in Postgres.
    #[must_use]
    pub fn role(&self) -> String {
        format!("t_{}", self.name.replace('-', "_"))
    }

    /// The ConfigMap with the tenant's context, if it is there.
    pub async fn config_map(&self) -> anyhow::Result<Option<ConfigMap>> {
        let api: Api<ConfigMap> = Api::namespaced(self.platform.cluster.client.clone(), &self.platform.namespace());
        Ok(api.get_opt(&format!("tenant-{}", self.name)).await?)
    }

    /// A token of one of its users.
    pub fn token(&self) -> anyhow::Result<String> {
        tokens::token(&self.name, &["crm-user"])
    }

    /// Asks a service as one of its users.
    pub async fn ask(&self, service: &str, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        self.platform.ask(service, method, path, &self.token()?, body).await
    }

    /// A request to a service as one of its users, to be completed and sent with [`Answer::of`].
    pub async fn request(&self, service: &str, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self.platform.request(service, method, path).await?.bearer_auth(self.token()?))
    }

    /// Reads from CRM as one of its users.
    pub async fn read(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("crm", Method::GET, path, None).await
    }

    /// Adds a contact and returns its id.
    pub async fn add_contact(&self, family_name: &str) -> anyhow::Result<String> {
        let answer = self.ask("crm", Method::POST, "/contacts", Some(json!({ "familyName": family_name }))).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.body["id"].as_str().context("no id")?.to_owned())
    }

    /// Waits until CRM answers a read with the status.
    pub async fn serves(&self, status: u16) -> Answer {
        until(&format!("CRM answers {} with {status}", self.name), PATIENCE, || async {
            let answer = self.read("/contacts").await?;
            ensure!(answer.status == status, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Asks for its deletion, confirmed.
    pub async fn delete(&self) -> anyhow::Result<()> {
        self.annotate("easycode.io/confirm-delete", &self.name).await?;
        self.delete_confirmed().await
    }

    /// Asks for its deletion, which was confirmed before.
    pub async fn delete_confirmed(&self) -> anyhow::Result<()> {
        self.api().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the object is gone.
    pub async fn gone(&self) {
        until(&format!("tenant {} is gone", self.name), PATIENCE, || async {
            ensure!(self.api().get_opt(&self.name).await?.is_none(), "it is still there");
            Ok(())
        })
        .await;
    }

    /// Waits for a warning about it, with the words.
    pub async fn warned(&self, reason: &str, words: &str) {
        let events: Api<Event> = Api::all(self.platform.cluster.client.clone());
        let about = format!("regarding.kind=Tenant,regarding.name={},reason={reason}", self.name);
        until(&format!("a warning {reason} about {}: {words}", self.name), Duration::from_secs(20), || async {
            let found = events.list(&ListParams::default().fields(&about)).await?.items;
            let said = |event: &Event| event.note.as_ref().is_some_and(|note| note.contains(words));
            let warning = found.iter().any(|event| event.type_.as_deref() == Some("Warning") && said(event));
            ensure!(warning, "there is {:?}", found.iter().map(|event| &event.note).collect::<Vec<_>>());
            Ok(())
        })
        .await;
    }

    /// The family names of the contacts in its schema.
    pub async fn contact_names(&self) -> anyhow::Result<String> {
        let names = format!("SELECT string_agg(family_name, ',' ORDER BY id) FROM {}.contact", self.role());
        self.platform.sql("crm", &names).await
    }

    /// Asks for its deletion with its data.
    pub async fn discard(&self) -> anyhow::Result<()> {
        self.change(json!({ "deletionPolicy": "Delete" })).await?;
        self.delete().await
    }

    /// Deletes it with its data.
    pub async fn erase(&self) -> anyhow::Result<()> {
        self.discard().await?;
        self.gone().await;
        Ok(())
    }
}

/// The API of tenants.
#[must_use]
pub fn tenants(cluster: &Cluster) -> Api<Tenant> {
    Api::all(cluster.client.clone())
}
