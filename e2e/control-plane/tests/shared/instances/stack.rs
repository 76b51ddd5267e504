//! What an instance is made of, and how it follows what its tenant may use.

use std::time::Duration;

use anyhow::ensure;
use easycode_e2e::{own_instance::OwnInstance, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

use super::{MENDED, api, cluster, first_contact, goes, services};

#[tokio::test]
async fn a_service_goes_with_its_entitlement_and_its_data_comes_back_with_it() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "entitled", json!({})).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;

    own.tenant.change(json!({ "entitlements": [] })).await?;
    for kind in [Kind::Deployment, Kind::Service, Kind::PodDisruptionBudget] {
        goes(&own.platform, kind, "crm").await;
    }
    until("no pod of CRM is left", MENDED, || async {
        let left = own.platform.cluster.pods(&own.namespace(), "app.kubernetes.io/name=crm").await?;
        let serving = left.iter().filter(|pod| !pod.name_any().starts_with("migrate-")).count();
        ensure!(serving == 0, "{serving} are");
        Ok(())
    })
    .await;
    own.ready().await;
    let role = own.tenant.role();
    let kept = own.platform.sql("crm", &format!("SELECT count(*) FROM {role}.contact")).await?;
    ensure!(kept == "1", "its data is gone: {kept} contacts");

    own.tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    ensure!(first_contact(&own).await? == "Lovelace", "its data did not come back");
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn without_its_tenant_an_instance_keeps_what_runs_and_says_whom_it_waits_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "alone", json!({})).await?;
    own.ready().await;
    own.tenant.erase().await?;
    let told = own.condition("TenantBound", "False", "TenantNotFound").await;
    ensure!(told.contains(&own.tenant.name) && told.contains("create it"), "{told}");
    // It would have been removed by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(services(&own).await? == ["crm", "tenant-service", "user-service"], "it runs {:?}", services(&own).await?);

    // A tenant of the name that lives elsewhere is not taken over.
    own.tenant.apply(json!({ "deployment": { "platform": easycode_e2e::platform::EXAMPLE } })).await?;
    own.tenant.ready().await;
    let told = own.condition("TenantBound", "False", "TenantMismatch").await;
    ensure!(told.contains("set its deployment"), "{told}");
    let contexts =
        api(&own.platform, Kind::ConfigMap).list(&ListParams::default().labels("easycode.io/tenant")).await?;
    ensure!(contexts.items.is_empty(), "it serves a tenant of another's");
    own.tenant.erase().await?;

    own.tenant.apply(json!({})).await?;
    own.ready().await;
    own.tenant.serves(200).await;
    own.remove().await
}
