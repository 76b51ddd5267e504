//! What it means that a tenant is right: every part of it is as planned, and there is nothing else.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use easycode_contract::{
    context::{TenantContext, TenantState},
    runtime::CONTEXT_KEY,
};
use easycode_e2e::{
    holdings::{self, Holdings},
    tenant::TestTenant,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

/// A tenant of the examples that has CRM alone, as the tests' own have.
pub const MODEL: &str = "t_borealis";

/// Ready, with role, schemas, grants and registry exactly as planned, one finalizer, the label, and the context of its
/// present generation; and it is served.
pub async fn served(tenant: &TestTenant) -> anyhow::Result<()> {
    tenant.ready().await;
    as_planned(tenant, &["crm", "tenant-service", "user-service"]).await?;
    tenant.serves(200).await;
    Ok(())
}

/// As planned for a tenant that has used CRM, and may use these now.
pub async fn as_planned(tenant: &TestTenant, entitled: &[&str]) -> anyhow::Result<()> {
    let mut all = holdings::of_all(&tenant.platform).await?;
    let held = all.remove(&tenant.role()).unwrap_or_default();
    described_as_planned(tenant, entitled, &held, all.get(MODEL).context("the example borealis is missing")?).await
}

/// As [`as_planned`], given what was read of the database.
pub async fn described_as_planned(
    tenant: &TestTenant,
    entitled: &[&str],
    held: &Holdings,
    model: &Holdings,
) -> anyhow::Result<()> {
    let planned = tenant.planned(entitled, model).await?;
    ensure!(*held == planned, "{}: has {held:#?}, should have {planned:#?}", tenant.name);

    let live = tenant.get().await?;
    ensure!(live.finalizers() == ["easycode.io/operator"], "finalizers {:?}", live.finalizers());
    let label = live.labels().get("easycode.io/platform");
    ensure!(label == Some(&tenant.platform.name), "placed by label on {label:?}");

    let published = tenant.config_map().await?.context("its ConfigMap is missing")?;
    let document = published.data.as_ref().and_then(|data| data.get(CONTEXT_KEY)).context("an empty ConfigMap")?;
    let context: TenantContext = serde_json::from_str(document)?;
    ensure!(context.tenant == tenant.name && context.database_role == tenant.role(), "{document}");
    ensure!(Some(context.generation) == live.metadata.generation, "generation {}", context.generation);
    ensure!(context.state == TenantState::Active, "{document}");
    let services: BTreeSet<_> = context.entitlements.keys().map(String::as_str).collect();
    ensure!(services == entitled.iter().copied().collect(), "entitled to {services:?}");
    Ok(())
}

/// Nothing in Postgres, no ConfigMap.
pub async fn nothing_left(tenant: &TestTenant) -> anyhow::Result<()> {
    let left = tenant.holdings().await?;
    ensure!(left == Holdings::default(), "{}: still has {left:#?}", tenant.name);
    ensure!(tenant.config_map().await?.is_none(), "its ConfigMap is still there");
    Ok(())
}

/// There is one receipt of the tenant's erasure, and it tells of all that there was.
pub async fn receipted(tenant: &TestTenant, uid: &str) -> anyhow::Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(tenant.platform.cluster.client.clone(), &tenant.platform.namespace());
    let found = api.list(&ListParams::default().labels("app.kubernetes.io/name=erasure-receipt")).await?;
    let prefix = format!("receipt-{}-", tenant.name);
    let receipts: Vec<_> = found.into_iter().filter(|one| one.name_any().starts_with(&prefix)).collect();
    ensure!(receipts.len() == 1, "{} receipts", receipts.len());
    let document = receipts[0].data.as_ref().and_then(|data| data.get("receipt.json")).context("an empty receipt")?;
    let receipt: Value = serde_json::from_str(document)?;
    ensure!(
        receipt["uid"] == uid && receipt["erasedSchemas"] == json!(["crm", "tenant-service", "user-service"]),
        "{document}"
    );
    Ok(())
}
