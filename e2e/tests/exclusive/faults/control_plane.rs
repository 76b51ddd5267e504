//! Kubernetes' own components die. Tenants' people don't notice, and the operator takes up where it was.

use std::time::Duration;

use anyhow::ensure;
use easycode_e2e::{
    cluster::checkout,
    faults::{can_stop_components, component},
    platform::Platform,
    tenant::{PATIENCE, TestTenant},
    traffic::{Traffic, all_served},
    wait::until,
};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

/// How long a component is away: long enough that everything that depends on it has asked for it.
const AWAY: Duration = Duration::from_secs(5);

/// A tenant whose user asks without a break.
async fn in_use() -> anyhow::Result<(TestTenant, Traffic)> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "fault", json!({})).await?;
    tenant.serves(200).await;
    let asking = Traffic::calm(tenant.request("crm", Method::GET, "/contacts").await?);
    Ok((tenant, asking))
}

/// The API server answers again, a change of the tenant is reconciled and obeyed, and every request before that was served.
async fn unharmed(tenant: &TestTenant, asking: Traffic) -> anyhow::Result<()> {
    until("the API server answers", PATIENCE, || async { tenant.get().await }).await;
    all_served(&asking.end().await?)?;
    tenant.change(json!({ "state": "Suspended" })).await?;
    tenant.condition("Ready", "False", "Suspended").await;
    let refused = tenant.serves(403).await;
    until("tenant-service tells CRM of it", PATIENCE, || async {
        ensure!(tenant.read("/contacts").await?.code() == "tenant-suspended", "{refused:?}");
        Ok(())
    })
    .await;
    tenant.change(json!({ "state": "Active" })).await?;
    tenant.ready().await;
    tenant.serves(200).await;
    tenant.erase().await
}

#[tokio::test]
async fn tenants_are_served_while_the_api_server_is_killed() -> anyhow::Result<()> {
    if !can_stop_components() {
        return Ok(());
    }
    let (tenant, asking) = in_use().await?;
    component("kill", "kube-apiserver").await?;
    tokio::time::sleep(AWAY).await;
    component("start", "kube-apiserver").await?;
    unharmed(&tenant, asking).await
}

#[tokio::test]
async fn tenants_are_served_while_the_api_server_is_restarted() -> anyhow::Result<()> {
    if !can_stop_components() {
        return Ok(());
    }
    let (tenant, asking) = in_use().await?;
    component("restart", "kube-apiserver").await?;
    unharmed(&tenant, asking).await
}

#[tokio::test]
async fn tenants_are_served_while_etcd_is_killed() -> anyhow::Result<()> {
    if !can_stop_components() {
        return Ok(());
    }
    let (tenant, asking) = in_use().await?;
    component("kill", "etcd").await?;
    tokio::time::sleep(AWAY).await;
    component("start", "etcd").await?;
    unharmed(&tenant, asking).await
}

#[tokio::test]
async fn the_local_cluster_comes_back_after_its_node_programs_were_killed() -> anyhow::Result<()> {
    if !can_stop_components() {
        return Ok(());
    }
    let (tenant, asking) = in_use().await?;
    component("kill", "kubelet").await?;
    component("kill", "containerd").await?;
    let status = Command::new(checkout().join("e2e/cluster/local-up.sh")).status().await?;
    ensure!(status.success(), "local-up.sh: {status}");
    let nodes: Api<Node> = Api::all(tenant.platform.cluster.client.clone());
    until("the node is ready", PATIENCE, || async {
        for node in nodes.list(&ListParams::default()).await? {
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
            ensure!(ready, "{conditions:?}");
        }
        Ok(())
    })
    .await;
    // Pods can be looked into again, which needs both programs.
    until("the runtime answers", PATIENCE, || tenant.platform.sql("postgres", "SELECT 1")).await;
    unharmed(&tenant, asking).await
}
