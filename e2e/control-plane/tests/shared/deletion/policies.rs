//! `Retain` and `Delete`: what stays, what goes, and what a neighbour notices of it.

use anyhow::{Context, ensure};
use easycode_e2e::{
    platform::{Answer, Platform},
    tenant::TestTenant,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use super::{erased, told_of_data, uid};

/// Deletes the tenant and checks that nobody gets in any more.
async fn delete(tenant: &TestTenant) -> anyhow::Result<Answer> {
    tenant.delete().await?;
    tenant.gone().await;
    ensure!(tenant.config_map().await?.is_none(), "the ConfigMap is still there");
    let refused = tenant.serves(403).await;
    ensure!(refused.code() == "unknown-tenant", "{refused:?}");
    Ok(refused)
}

#[tokio::test]
async fn retained_data_is_kept_closed_and_taken_over_by_who_names_it() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "retained", json!({ "deletionPolicy": "Retain" })).await?;
    tenant.add_contact("Kept").await?;
    let old = uid(&tenant).await?;
    delete(&tenant).await?;
    ensure!(tenant.contact_names().await? == "Kept", "the rows are gone");
    let state = format!(
        "SELECT retained IS NOT NULL, (SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
             WHERE m.roleid = '{0}'::regrole AND r.rolname LIKE 'svc%') FROM easycode.tenant WHERE role = '{0}'",
        tenant.role()
    );
    let kept = platform.sql("easycode", &state).await?;
    ensure!(kept == "t|0", "kept, closed for the services: {kept}");

    // Another company of the same name must not come by the data.
    tenant.apply(json!({})).await?;
    told_of_data(&tenant, &old).await?;
    ensure!(tenant.read("/contacts").await?.status == 403, "it is served");
    tenant.annotate("easycode.io/undelete", "00000000-0000-0000-0000-000000000000").await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    tenant.condition("Ready", "False", "RetainedData").await;

    tenant.annotate("easycode.io/undelete", &old).await?;
    tenant.ready().await;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Kept", "{answer:?}");
    let undeleted = platform.sql("easycode", &state).await?;
    ensure!(undeleted == "f|3", "in use again by all of its services: {undeleted}");
    tenant.erase().await?;
    erased(&tenant).await
}

#[tokio::test]
async fn a_tenant_that_was_refused_retained_data_leaves_it_when_it_goes() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "namesake", json!({ "deletionPolicy": "Retain" })).await?;
    tenant.add_contact("Kept").await?;
    let old = uid(&tenant).await?;
    delete(&tenant).await?;
    tenant.apply(json!({ "deletionPolicy": "Delete" })).await?;
    tenant.condition("Ready", "False", "RetainedData").await;
    tenant.delete().await?;
    tenant.gone().await;
    tenant.warned("RetainedData", "stays untouched").await;
    ensure!(tenant.contact_names().await? == "Kept", "the other's rows are gone");

    tenant.apply(json!({ "deletionPolicy": "Delete" })).await?;
    tenant.annotate("easycode.io/undelete", &old).await?;
    tenant.ready().await;
    tenant.erase().await?;
    erased(&tenant).await
}

#[tokio::test]
async fn erased_data_is_gone_with_a_receipt_and_nothing_of_another_tenant() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let (tenant, neighbour) = tokio::try_join!(
        TestTenant::create(&platform, "erased", json!({ "deletionPolicy": "Delete" })),
        TestTenant::create(&platform, "neighbour", json!({})),
    )?;
    tenant.add_contact("Gone").await?;
    neighbour.add_contact("Untouched").await?;
    let others = format!(
        "SELECT string_agg(x, ',' ORDER BY x) FROM (
           SELECT rolname x FROM pg_roles WHERE rolname IN ('t_aurora', 't_borealis', '{0}')
           UNION ALL SELECT member::regrole::text FROM pg_auth_members WHERE roleid = '{0}'::regrole
           UNION ALL SELECT relname FROM pg_class WHERE relnamespace = '{0}'::regnamespace) _",
        neighbour.role()
    );
    let before = platform.sql("crm", &others).await?;
    let old = uid(&tenant).await?;
    delete(&tenant).await?;
    erased(&tenant).await?;

    let name = format!("receipt-{}-{}", tenant.name, &old[..8]);
    let config_maps: Api<ConfigMap> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let data = config_maps.get(&name).await?.data.context("an empty receipt")?;
    let receipt: Value = serde_json::from_str(data.get("receipt.json").context("no receipt.json")?)?;
    ensure!(
        receipt["tenant"] == *tenant.name && receipt["uid"] == *old && receipt["role"] == *tenant.role(),
        "{receipt}"
    );
    ensure!(receipt["erasedSchemas"] == json!(["crm", "tenant-service", "user-service"]), "{receipt}");
    let requested: jiff::Timestamp = receipt["requestedAt"].as_str().context("no requestedAt")?.parse()?;
    let erased: jiff::Timestamp = receipt["erasedAt"].as_str().context("no erasedAt")?.parse()?;
    ensure!(requested <= erased && !receipt.to_string().contains("Gone"), "{receipt}");

    ensure!(platform.sql("crm", &others).await? == before, "something of another tenant went, too");
    ensure!(neighbour.contact_names().await? == "Untouched");
    ensure!(neighbour.read("/contacts").await?.status == 200);
    neighbour.erase().await
}

#[tokio::test]
async fn a_name_is_free_again_after_an_erasure() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "again", json!({})).await?;
    tenant.add_contact("Gone").await?;
    delete(&tenant).await?;
    tenant.apply(json!({})).await?;
    tenant.ready().await;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"] == json!([]), "{answer:?}");
    tenant.erase().await
}
