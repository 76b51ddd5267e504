//! The definition of tenants is deleted, as a slip of the hand would: nothing of any tenant may go with it. The cluster
//! is put back as it was, whatever the test finds.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::Tenant;
use easycode_e2e::{
    cluster::Cluster,
    platform::{Answer, Platform},
    tenant::{PATIENCE, TestTenant, tenants},
    traffic::{Traffic, all_served},
    wait::until,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use reqwest::Method;
use serde_json::json;

use easycode_e2e::deletion::{rows, warned};

const DEFINITION: &str = "tenants.easycode.io";

fn definitions(cluster: &Cluster) -> Api<CustomResourceDefinition> {
    Api::all(cluster.client.clone())
}

/// What is to be put back.
struct Saved {
    cluster: Cluster,
    definition: CustomResourceDefinition,
    tenants: Vec<Tenant>,
}

/// The metadata that a person would write, without what the API server adds.
fn written(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        ..Default::default()
    }
}

impl Saved {
    async fn take(cluster: &Cluster) -> anyhow::Result<Self> {
        let definition = definitions(cluster).get(DEFINITION).await?;
        let tenants = tenants(cluster).list(&ListParams::default()).await?.items;
        let going = tenants.iter().find(|tenant| tenant.metadata.deletion_timestamp.is_some());
        ensure!(going.is_none(), "a tenant is being deleted: {:?}", going.map(ResourceExt::name_any));
        Ok(Self { cluster: cluster.clone(), definition, tenants })
    }

    /// As a person does who has the manifests: lets go of the objects that are held, and applies all of it anew.
    async fn put_back(&self) -> anyhow::Result<()> {
        let definitions = definitions(&self.cluster);
        let api = tenants(&self.cluster);
        let deleted = definitions.get(DEFINITION).await?.metadata.deletion_timestamp.is_some();
        if !deleted {
            return Ok(());
        }
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        for held in api.list(&ListParams::default()).await? {
            api.patch_metadata(&held.name_any(), &PatchParams::default(), &free).await?;
        }
        until("the definition is gone", PATIENCE, || async {
            ensure!(definitions.get_opt(DEFINITION).await?.is_none(), "it is still there");
            Ok(())
        })
        .await;
        let mut definition = self.definition.clone();
        (definition.metadata, definition.status) = (written(&self.definition.metadata), None);
        definitions.create(&PostParams::default(), &definition).await?;
        for saved in &self.tenants {
            let mut tenant = Tenant { metadata: written(&saved.metadata), ..saved.clone() };
            tenant.status = None;
            until("the definition is served", PATIENCE, || async {
                Ok(api.create(&PostParams::default(), &tenant).await?)
            })
            .await;
        }
        Ok(())
    }
}

/// With the definition on its way out, the tenant is held and served, and a warning says why.
async fn held(tenant: &TestTenant) -> anyhow::Result<()> {
    let cluster = &tenant.platform.cluster;
    let confirm = Patch::Merge(json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": DEFINITION } } }));
    definitions(cluster).patch_metadata(DEFINITION, &PatchParams::default(), &confirm).await?;
    definitions(cluster).delete(DEFINITION, &DeleteParams::background()).await?;
    let held = tenant.condition("Ready", "False", "DefinitionDeleting").await;
    ensure!(held.metadata.deletion_timestamp.is_some(), "not being deleted");
    warned(tenant, "DefinitionDeleting", "nothing is torn down").await;
    // The API server asks again and again for the objects to go; the operator holds on.
    tokio::time::sleep(Duration::from_secs(5)).await;
    tenant.get().await.context("the tenant is gone")?;
    ensure!(rows(tenant).await? == "Survivor", "the rows are gone");
    ensure!(tenant.config_map().await?.is_some(), "the ConfigMap is gone");
    ensure!(tenant.read("/contacts").await?.status == 200, "it is not served");
    Ok(())
}

#[tokio::test]
async fn deleting_the_definition_of_tenants_takes_no_tenant_with_it() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let spec = json!({ "limits": { "requestsPerSecond": 10_000 } });
    let tenant = TestTenant::create(&platform, "definition", spec).await?;
    tenant.add_contact("Survivor").await?;
    // Comes back under the same name as another company.
    let namesake = TestTenant::create(&platform, "namesake", json!({ "displayName": "Aurora Ltd" })).await?;
    namesake.add_contact("Survivor").await?;
    let mut saved = Saved::take(&platform.cluster).await?;
    for tenant in saved.tenants.iter_mut().filter(|tenant| tenant.name_any() == namesake.name) {
        tenant.spec.display_name = "Borealis Ltd".to_owned();
    }
    let running = Traffic::start(tenant.request("crm", Method::GET, "/contacts").await?);
    let from_before = tenant.request("crm", Method::GET, "/contacts").await?;
    // In a task of its own, so that a panic does not keep the rest from being put back.
    let observed = tokio::spawn({
        let tenant = tenant.clone();
        async move { held(&tenant).await }
    })
    .await;
    let seen = running.end().await;
    saved.put_back().await?;
    observed??;
    let seen = seen?;
    all_served(&seen)?;
    println!("{} requests were served in between", seen.len());

    // What was put back is the tenant that was there: it has its data, and a change of it counts.
    tenant.ready().await;
    warned(&tenant, "DataAdopted", "took over").await;
    let campaigns = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    tenant.change(campaigns).await?;
    tenant.ready().await;
    ensure!(tenant.read("/campaigns").await?.status == 200);
    let answer = tenant.read("/contacts").await?;
    ensure!(answer.body["items"][0]["familyName"] == "Survivor", "{answer:?}");
    // It is another object, and what was issued for the one before does not count for it.
    let answer = Answer::of(from_before).await?;
    ensure!(answer.status == 401, "{answer:?}");
    namesake.condition("Ready", "False", "RetainedData").await;
    namesake.change(json!({ "displayName": "Aurora Ltd" })).await?;
    namesake.ready().await;
    ensure!(rows(&namesake).await? == "Survivor", "the namesake's rows are gone");
    for other in &saved.tenants {
        let other = TestTenant { platform: platform.clone(), name: other.name_any() };
        until(&format!("tenant {} is reported on again", other.name), PATIENCE, || async {
            let conditions = other.get().await?.status.map(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().find(|one| one.type_ == "Ready").context("no Ready")?;
            ensure!(ready.reason != "RetainedData", "{}", ready.message);
            Ok(())
        })
        .await;
    }
    tokio::try_join!(tenant.erase(), namesake.erase())?;
    Ok(())
}
