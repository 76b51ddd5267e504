//! What the API server refuses at apply and what it lets pass: the tables in `validation/`, one a kind, against a real API
//! server. Nothing is left behind: all is applied as a dry run, but for the objects that a change begins from.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use anyhow::Context;
use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant};
use easycode_e2e::{cluster::Cluster, tenant::fresh_name, wait::until};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, CustomResourceExt, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    what: String,
    name: Option<String>,
    spec: Value,
}

/// One fault, and the parts of the message that name the field and the way out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    what: String,
    name: Option<String>,
    spec: Value,
    field: String,
    remedy: String,
}

/// Specs that an object of spec `before` is changed to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    before: Value,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[tokio::test]
async fn tenants() -> anyhow::Result<()> {
    check::<Tenant>(include_str!("validation/tenants.yaml")).await
}

#[tokio::test]
async fn platforms() -> anyhow::Result<()> {
    check::<SharedPlatform>(include_str!("validation/platforms.yaml")).await
}

#[tokio::test]
async fn instances() -> anyhow::Result<()> {
    check::<DedicatedInstance>(include_str!("validation/instances.yaml")).await
}

#[tokio::test]
async fn releases() -> anyhow::Result<()> {
    check::<Release>(include_str!("validation/releases.yaml")).await
}

#[tokio::test]
async fn channels() -> anyhow::Result<()> {
    check::<ReleaseChannel>(include_str!("validation/channels.yaml")).await
}

#[tokio::test]
async fn a_misspelt_field_is_refused_when_not_applied_but_created() -> anyhow::Result<()> {
    // Server-side apply refuses it by itself, see the tables; other writes when they are strict, as those of kubectl are.
    let cluster = Cluster::connect().await?;
    define::<Tenant>(&cluster).await?;
    let body = object::<Tenant>("misspelt", &json!({ "displayName": "Aurora", "entitlement": [] }));
    let request = http::Request::post(format!("{}?dryRun=All&fieldValidation=Strict", Tenant::url_path(&(), None)))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body)?)?;
    match cluster.client.request::<Tenant>(request).await {
        Err(kube::Error::Api(status)) if status.message.contains("unknown field \"spec.entitlement\"") => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn check<K>(table: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + CustomResourceExt + Clone + Debug + DeserializeOwned + Send + 'static,
{
    // A table refers to its least spec again and again, which is suspicious in a document of strangers only.
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false } };
    let table: Table = serde_saphyr::from_str_with_options(table, options)?;
    let cluster = Cluster::connect().await?;
    define::<K>(&cluster).await?;
    let mut trial = Trial::<K> { api: Api::all(cluster.client), wrong: Vec::new(), refusals: Vec::new() };
    trial.run(None, &table.accepted, &table.refused).await;
    for change in &table.changes {
        let name = fresh_name("validation");
        trial.apply(&name, &change.before, false).await.context("what a change begins from")?;
        trial.run(Some(&name), &change.accepted, &change.refused).await;
        trial.remove(&name).await?;
    }
    trial.every_rule_was_broken();
    assert!(trial.wrong.is_empty(), "{} of {}:\n{}", trial.wrong.len(), K::kind(&()), trial.wrong.join("\n"));
    Ok(())
}

/// Makes the definition known to a bare API server. One that is there is left alone: the chart manages it.
async fn define<K: Resource<DynamicType = ()> + CustomResourceExt + Clone + Debug + DeserializeOwned>(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    if definitions.get_opt(K::crd_name()).await?.is_none() {
        definitions.patch(K::crd_name(), &PatchParams::apply("e2e"), &Patch::Apply(K::crd())).await?;
    }
    let api: Api<K> = Api::all(cluster.client.clone());
    until(&format!("{} is served", K::crd_name()), Duration::from_secs(30), || async {
        api.list_metadata(&ListParams::default().limit(1)).await?;
        Ok(())
    })
    .await;
    Ok(())
}

struct Trial<K> {
    api: Api<K>,
    /// What was not as it should be.
    wrong: Vec<String>,
    /// The messages of all refusals.
    refusals: Vec<String>,
}

impl<K> Trial<K>
where
    K: Resource<DynamicType = ()> + CustomResourceExt + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Tries the specs on a new object, or on the named one.
    async fn run(&mut self, object: Option<&str>, accepted: &[Accepted], refused: &[Refused]) {
        let name =
            |own: &Option<String>| own.as_deref().or(object).map_or_else(|| fresh_name("validation"), str::to_owned);
        for case in accepted {
            // The answer is read as the Rust type: what the schema admits, the operator understands.
            if let Err(error) = self.apply(&name(&case.name), &case.spec, true).await {
                self.wrong.push(format!("- {}: not accepted: {error}", case.what));
            }
        }
        for case in refused {
            match self.apply(&name(&case.name), &case.spec, true).await {
                Ok(_) => self.wrong.push(format!("- {}: not refused", case.what)),
                Err(kube::Error::Api(status)) => {
                    let message = &status.message;
                    if !(message.contains(&case.field) && message.contains(&case.remedy)) {
                        self.wrong.push(format!(
                            "- {}: lacks {:?} or {:?}: {} {message}",
                            case.what, case.field, case.remedy, status.code
                        ));
                    }
                    self.refusals.push(status.message.clone());
                }
                Err(error) => self.wrong.push(format!("- {}: {error}", case.what)),
            }
        }
    }

    /// Applies as kubectl does. `dry` changes nothing.
    async fn apply(&self, name: &str, spec: &Value, dry: bool) -> Result<K, kube::Error> {
        let params = PatchParams { dry_run: dry, ..PatchParams::apply("e2e").force().validation_strict() };
        self.api.patch(name, &params, &Patch::Apply(object::<K>(name, spec))).await
    }

    /// Deletes. An operator in the cluster may have put its finalizer; should it not come to take it off, there is nothing
    /// that it could have made for an object whose platform or release does not exist.
    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.api.delete(name, &DeleteParams::default()).await?;
        let gone = async || {
            while self.api.get_opt(name).await?.is_some() {
                sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        if let Ok(outcome) = timeout(Duration::from_secs(20), gone()).await {
            return outcome;
        }
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        self.api.patch_metadata(name, &PatchParams::default(), &patch).await?;
        timeout(Duration::from_secs(20), gone()).await.with_context(|| format!("{name} stays"))?
    }

    /// No rule of the definition is without a case that breaks it.
    fn every_rule_was_broken(&mut self) {
        let mut messages = BTreeSet::new();
        collect(&json!(K::crd()), &mut messages);
        messages.retain(|rule| !self.refusals.iter().any(|refusal| refusal.contains(rule)));
        self.wrong.extend(messages.into_iter().map(|rule| format!("- no case was refused by the rule: {rule}")));
    }
}

fn object<K: Resource<DynamicType = ()>>(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": name,
            "labels": { "easycode.io/e2e": "true" },
            "annotations": { "easycode.io/confirm-delete": name },
        },
        "spec": spec,
    })
}

/// The messages of the rules in a schema, and in all below.
fn collect(schema: &Value, messages: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                messages.extend(rule["message"].as_str().map(str::to_owned));
            }
            fields.values().for_each(|field| collect(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        _ => {}
    }
}
