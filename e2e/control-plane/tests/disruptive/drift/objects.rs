//! Objects: made again, or changed back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_crds::SharedPlatform;
use easycode_e2e::objects::{WATCHED, api, changed_back, differences, meant};
use easycode_e2e::{platform::Platform, tenant::TestTenant, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// Deletes an object and waits until there is a new one like it.
async fn made_again(kind: Kind, name: &str) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    made_again_on(&platform, kind, name).await
}

async fn made_again_on(platform: &Platform, kind: Kind, name: &str) -> anyhow::Result<()> {
    let api = api(platform, kind);
    let before = api.get(name).await?;
    api.delete(name, &DeleteParams::background()).await?;
    let started = Instant::now();
    until(&format!("{kind:?} {name} is there again"), WATCHED, || async {
        let now = api.get_opt(name).await?.context("it is gone")?;
        ensure!(now.metadata.uid != before.metadata.uid, "it is still the old one");
        let ports_are_given = kind == Kind::Service;
        ensure!(ports_are_given || meant(&now) == meant(&before), "{}", differences(&meant(&before), &meant(&now)));
        Ok(())
    })
    .await;
    println!("{kind:?} {name}: made again after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}

#[tokio::test]
async fn a_changed_context_is_changed_back() -> anyhow::Result<()> {
    let forged = json!({ "data": { "context.json": "{}" } });
    changed_back(Kind::ConfigMap, "tenant-cirrus", forged).await
}

#[tokio::test]
async fn a_context_that_lost_its_labels_gets_them_back() -> anyhow::Result<()> {
    let bare =
        json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null, "easycode.io/tenant": null } } });
    changed_back(Kind::ConfigMap, "tenant-cirrus", bare).await
}

#[tokio::test]
async fn a_deleted_context_is_published_again_and_its_tenant_served() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "drift", json!({})).await?;
    tenant.serves(200).await;
    made_again_on(&platform, Kind::ConfigMap, &format!("tenant-{}", tenant.name)).await?;
    tenant.serves(200).await;
    tenant.erase().await
}

#[tokio::test]
async fn another_image_is_changed_back() -> anyhow::Result<()> {
    let container = json!([{ "name": "service", "image": "localhost/easycode/crm:forged" }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    strategic_change("crm", patch).await
}

#[tokio::test]
async fn another_environment_is_changed_back() -> anyhow::Result<()> {
    let container =
        json!([{ "name": "service", "env": [{ "name": "EASYCODE_ISSUER", "value": "https://forged.example.com" }] }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    strategic_change("crm", patch).await
}

#[tokio::test]
async fn an_added_environment_is_removed() -> anyhow::Result<()> {
    let container = json!([{ "name": "service", "env": [{ "name": "RUST_LOG", "value": "debug" }] }]);
    strategic_change("crm", json!({ "spec": { "template": { "spec": { "containers": container } } } })).await
}

#[tokio::test]
async fn an_added_container_is_removed() -> anyhow::Result<()> {
    // It would stand beside the service's credentials.
    let container = json!([{ "name": "guest", "image": "localhost/easycode/crm:guest" }]);
    strategic_change("crm", json!({ "spec": { "template": { "spec": { "containers": container } } } })).await
}

/// As [`changed_back`], for a Deployment, whose containers are merged by name.
async fn strategic_change(name: &str, patch: Value) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api = api(&platform, Kind::Deployment);
    let before = meant(&api.get(name).await?);
    let changed = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    ensure!(meant(&changed) != before, "the change changes nothing");
    let started = Instant::now();
    until(&format!("Deployment {name} is as it was"), WATCHED, || async {
        let now = meant(&api.get(name).await?);
        ensure!(now == before, "{}", differences(&before, &now));
        Ok(())
    })
    .await;
    println!("Deployment {name}: as it was after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}

#[tokio::test]
async fn another_number_of_replicas_is_changed_back() -> anyhow::Result<()> {
    changed_back(Kind::Deployment, "crm", json!({ "spec": { "replicas": 0 } })).await
}

#[tokio::test]
async fn a_forged_rendering_is_not_believed() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api = api(&platform, Kind::Deployment);
    let before = api.get("crm").await?;
    let patch = json!({ "metadata": { "annotations": { "easycode.io/rendered": "{\"spec\":{\"replicas\":0}}" } } });
    api.patch("crm", &PatchParams::default(), &Patch::Merge(patch)).await?;
    until("the rendering is as it was", WATCHED, || async {
        let now = api.get("crm").await?;
        ensure!(now.metadata.annotations == before.metadata.annotations, "{:?}", now.metadata.annotations);
        ensure!(now.data["spec"] == before.data["spec"], "{}", now.data["spec"]);
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_deleted_deployment_is_made_again() -> anyhow::Result<()> {
    made_again(Kind::Deployment, "crm").await
}

#[tokio::test]
async fn a_deleted_service_is_made_again() -> anyhow::Result<()> {
    made_again(Kind::Service, "crm").await
}

#[tokio::test]
async fn a_deleted_network_policy_is_made_again() -> anyhow::Result<()> {
    made_again(Kind::NetworkPolicy, "default-deny").await
}

#[tokio::test]
async fn a_loosened_network_policy_is_changed_back() -> anyhow::Result<()> {
    changed_back(Kind::NetworkPolicy, "default-deny", json!({ "spec": { "ingress": [{}] } })).await
}

#[tokio::test]
async fn a_deleted_disruption_budget_is_made_again() -> anyhow::Result<()> {
    made_again(Kind::PodDisruptionBudget, "crm").await
}

#[tokio::test]
async fn more_rights_of_tenant_service_are_taken_back() -> anyhow::Result<()> {
    let rules = json!({ "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] });
    changed_back(Kind::Role, "tenant-service", rules).await
}

#[tokio::test]
async fn a_loosened_pod_security_is_changed_back() -> anyhow::Result<()> {
    let label = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/warn": "privileged" } } });
    changed_back(Kind::Namespace, &Platform::example().await?.namespace(), label).await
}

#[tokio::test]
async fn an_ingress_that_is_asked_for_is_kept_and_one_that_is_not_is_removed() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let ingress = json!({ "className": "e2e", "controllerNamespace": "e2e" });
    let wanted = |ingress: Value| {
        let patch = Patch::Merge(json!({ "spec": { "ingress": ingress } }));
        let api: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
        let name = platform.name.clone();
        async move { api.patch(&name, &PatchParams::default(), &patch).await }
    };
    wanted(ingress).await?;
    let api = api(&platform, Kind::Ingress);
    until("there is an Ingress", WATCHED, || async { Ok(api.get("services").await?) }).await;
    made_again_on(&platform, Kind::Ingress, "services").await?;
    wanted(Value::Null).await?;
    until("there is no Ingress", WATCHED, || async {
        ensure!(api.get_opt("services").await?.is_none(), "it is still there");
        Ok(())
    })
    .await;
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}
