//! Data whose entry in the registry is lost, by a restored database say. The tenant that it was made for is known by its
//! status and goes as its policy says; to any other tenant of the name it is another's.

use std::time::Duration;

use anyhow::ensure;
use easycode_e2e::{
    block::{Block, Write},
    holdings::Holdings,
    platform::Platform,
    tenant::TestTenant,
};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use easycode_e2e::deletion::{rows, told_of_data, uid, warned};

/// Stands for the uid of whose data it is.
const UNREGISTERED: &str = "unregistered";

/// A tenant with a contact that is being deleted, and what keeps the operator from it.
async fn held(policy: &str) -> anyhow::Result<(TestTenant, Block)> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "unregistered", json!({ "deletionPolicy": policy })).await?;
    tenant.add_contact("Kept").await?;
    let write = Write::deleting_config_map(&platform.namespace(), &format!("tenant-{}", tenant.name));
    let block = Block::write(&platform.cluster, &write).await?;
    tenant.delete().await?;
    block.reached().await;
    Ok((tenant, block))
}

/// Strikes the tenant off the registry, and makes the operator look.
async fn strike(tenant: &TestTenant) -> anyhow::Result<()> {
    let role = tenant.role();
    let statement = format!("DELETE FROM easycode.tenant WHERE role = '{role}' RETURNING role");
    let struck = tenant.platform.sql("easycode", &statement).await?;
    ensure!(struck == role, "nothing was struck: {struck}");
    // An erasure ends with a look at all tenants.
    TestTenant::create(&tenant.platform, "passerby", json!({})).await?.erase().await
}

/// A tenant that was deleted by its policy, with its entry lost before the operator came to it: one that is not being deleted
/// would be entered again.
async fn struck_and_deleted(policy: &str) -> anyhow::Result<(TestTenant, String)> {
    let (tenant, block) = held(policy).await?;
    let uid = uid(&tenant).await?;
    strike(&tenant).await?;
    block.lift().await?;
    tenant.gone().await;
    Ok((tenant, uid))
}

/// A tenant that went past the operator, since someone took its finalizer away, and left its data without an entry.
async fn struck_and_lost() -> anyhow::Result<TestTenant> {
    let (tenant, block) = held("Delete").await?;
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    tenant.api().patch_metadata(&tenant.name, &PatchParams::default(), &free).await?;
    tenant.gone().await;
    block.lift().await?;
    strike(&tenant).await?;
    ensure!(rows(&tenant).await? == "Kept", "the rows are gone");
    Ok(tenant)
}

/// Erases the tenant, and checks that nothing of that name is left.
async fn end(tenant: &TestTenant) -> anyhow::Result<()> {
    tenant.erase().await?;
    nothing_left(tenant).await
}

async fn nothing_left(tenant: &TestTenant) -> anyhow::Result<()> {
    let left = tenant.holdings().await?;
    ensure!(left == Holdings::default(), "left are {left:#?}");
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_was_struck_off_the_registry_is_erased_all_the_same() -> anyhow::Result<()> {
    let (tenant, _) = struck_and_deleted("Delete").await?;
    nothing_left(&tenant).await
}

#[tokio::test]
async fn a_tenant_that_was_struck_off_the_registry_is_entered_again_when_its_data_is_retained() -> anyhow::Result<()> {
    let (tenant, old) = struck_and_deleted("Retain").await?;
    let kept = tenant.holdings().await?;
    ensure!(kept.registered == [(old.clone(), true)], "not retained as its own: {kept:#?}");
    ensure!(!kept.members.iter().any(|login| login.starts_with("svc_")), "not closed: {kept:#?}");

    tenant.apply(json!({})).await?;
    told_of_data(&tenant, &old).await?;
    ensure!(tenant.read("/contacts").await?.status == 403, "a namesake is served");
    tenant.annotate("easycode.io/undelete", &old).await?;
    tenant.ready().await;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Kept", "{answer:?}");
    end(&tenant).await
}

#[tokio::test]
async fn data_that_nothing_speaks_for_is_taken_over_only_by_who_says_so() -> anyhow::Result<()> {
    let tenant = struck_and_lost().await?;
    tenant.apply(json!({})).await?;
    told_of_data(&tenant, UNREGISTERED).await?;
    tenant.serves(403).await;
    // Nor at the next look, when it has a status of its own.
    tenant.annotate("easycode.io/undelete", "00000000-0000-0000-0000-000000000000").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    told_of_data(&tenant, UNREGISTERED).await?;
    let kept = tenant.holdings().await?;
    ensure!(kept.registered.is_empty(), "taken over unasked: {kept:#?}");
    ensure!(!kept.members.iter().any(|login| login.starts_with("svc_")), "not closed: {kept:#?}");

    tenant.annotate("easycode.io/undelete", UNREGISTERED).await?;
    tenant.ready().await;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Kept", "{answer:?}");
    warned(&tenant, "DataAdopted", UNREGISTERED).await;
    ensure!(tenant.holdings().await?.registered == [(uid(&tenant).await?, false)], "not entered as its own");
    end(&tenant).await
}

#[tokio::test]
async fn data_that_nothing_speaks_for_stays_when_a_tenant_that_did_not_take_it_over_goes() -> anyhow::Result<()> {
    let tenant = struck_and_lost().await?;
    tenant.apply(json!({})).await?;
    told_of_data(&tenant, UNREGISTERED).await?;
    let before = tenant.holdings().await?;
    tenant.delete().await?;
    tenant.gone().await;
    warned(&tenant, "RetainedData", "stays untouched").await;
    ensure!(rows(&tenant).await? == "Kept", "the rows are gone");
    let left = tenant.holdings().await?;
    ensure!(left == before, "left are {left:#?} of {before:#?}");

    tenant.apply(json!({})).await?;
    tenant.annotate("easycode.io/undelete", UNREGISTERED).await?;
    tenant.ready().await;
    ensure!(rows(&tenant).await? == "Kept", "the rows are gone");
    end(&tenant).await
}

#[tokio::test]
async fn a_late_status_of_a_deleted_tenant_does_not_reach_its_namesake() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let first = TestTenant::create(&platform, "namesake", json!({})).await?;
    let stale = first.get().await?;
    first.erase().await?;
    first.apply(json!({})).await?;
    let client = &platform.cluster.client;
    let refused = easycode_operator::kubernetes::status::replace(&stale, &stale.status, None, client).await;
    ensure!(refused.is_err(), "a status of {:?} was written to its namesake", stale.metadata.uid);
    let second = first.ready().await;
    ensure!(second.metadata.uid != stale.metadata.uid, "it is the same object");
    let placed = second.status.and_then(|status| status.platform);
    ensure!(placed.as_deref() == Some(platform.name.as_str()), "it is told to be on {placed:?}");
    first.erase().await
}
