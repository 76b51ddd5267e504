//! Faults of the cluster's network: no engine that enforces policies, no DNS. Both are said of each home, with what to do.

use anyhow::ensure;
use easycode_e2e::{
    faults::{can_stop_components, component},
    platform::Platform,
    probes::{ask, verdict},
    tenant::TestTenant,
};
use serde_json::json;

#[tokio::test]
async fn without_an_engine_that_enforces_policies_isolation_is_not_said_to_be_verified() -> anyhow::Result<()> {
    said_without("kube-router", "NetworkNotEnforced", "enforces no NetworkPolicy").await
}

#[tokio::test]
async fn without_dns_that_is_said_and_what_to_do() -> anyhow::Result<()> {
    said_without("coredns", "NamesNotResolved", "dns.to").await
}

/// Asks for a turn of the probe while the component is stopped, and for another after.
async fn said_without(name: &str, reason: &str, hint: &str) -> anyhow::Result<()> {
    if !can_stop_components() {
        return Ok(());
    }
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "network", json!({})).await?;
    component("stop", name).await?;
    let said = async { anyhow::Ok(verdict(&tenant, ask(&platform).await?).await) }.await;
    component("start", name).await?;
    let said = said?;
    ensure!(said.status == "Unknown" && said.reason == reason && said.message.contains(hint), "{said:?}");
    let after = verdict(&tenant, ask(&platform).await?).await;
    ensure!(after.status == "True", "{after:?}");
    tenant.erase().await
}
