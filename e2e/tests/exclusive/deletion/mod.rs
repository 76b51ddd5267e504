//! Deletion: protected, by policy, and never of more than what was asked for.

mod definition;


use anyhow::{bail, ensure};
use easycode_crds::{Release, SharedPlatform};
use easycode_e2e::{
    deletion::erased,
    platform::{EXAMPLE, Platform},
    releases,
    tenant::{TestTenant, fresh_name},
};
use k8s_openapi::{
    api::core::v1::{Namespace, PersistentVolumeClaim},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

/// Checks that a deletion is refused, and that the message says how it would be accepted.
fn refused<T>(outcome: kube::Result<T>, name: &str) -> anyhow::Result<()> {
    match outcome {
        Err(kube::Error::Api(refusal)) => {
            let way_out = format!("easycode.io/confirm-delete={name}");
            ensure!(refusal.message.contains(&way_out), "the message does not say how: {}", refusal.message);
            Ok(())
        }
        Err(error) => bail!("{error}"),
        Ok(_) => bail!("{name} was deleted without a confirmation"),
    }
}

/// A deletion that is judged and not carried out: what is not refused must not go.
fn dry_run() -> DeleteParams {
    DeleteParams { dry_run: true, ..Default::default() }
}

#[tokio::test]
async fn a_release_in_use_is_not_deleted_by_mistake() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let platforms: Api<SharedPlatform> = Api::all(cluster.client.clone());
    let releases: Api<Release> = Api::all(cluster.client.clone());
    let used = platforms.get(EXAMPLE).await?.spec.release;
    refused(releases.delete(&used, &dry_run()).await, &used)?;
    // One that nobody uses goes without more.
    let unused = fresh_name("release");
    releases::like(&cluster, &used, &unused, |_| ()).await?;
    releases.delete(&unused, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn an_active_tenant_is_deleted_only_when_it_is_confirmed_by_name() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "protected", json!({})).await?;
    let name = &tenant.name;
    refused(tenant.api().delete(name, &DeleteParams::default()).await, name)?;
    refused(tenant.api().delete(name, &DeleteParams::foreground()).await, name)?;
    tenant.annotate("easycode.io/confirm-delete", "another").await?;
    refused(tenant.api().delete(name, &DeleteParams::default()).await, name)?;
    tenant.annotate("easycode.io/confirm-delete", "true").await?;
    refused(tenant.api().delete(name, &DeleteParams::default()).await, name)?;
    ensure!(tenant.get().await?.metadata.deletion_timestamp.is_none(), "it is being deleted");
    ensure!(tenant.read("/contacts").await?.status == 200, "it is not served any more");

    tenant.annotate("easycode.io/confirm-delete", name).await?;
    tenant.api().delete(name, &DeleteParams::default()).await?;
    tenant.gone().await;
    erased(&tenant).await
}

#[tokio::test]
async fn many_active_tenants_are_not_deleted_by_one_command() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "many", json!({})).await?;
    let all = ListParams::default().fields(&format!("metadata.name={}", tenant.name));
    refused(tenant.api().delete_collection(&dry_run(), &all).await.map(drop), &tenant.name)?;
    tenant.erase().await
}

#[tokio::test]
async fn a_suspended_tenant_is_deleted_without_a_confirmation() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "unprotected", json!({})).await?;
    tenant.change(json!({ "state": "Suspended" })).await?;
    tenant.api().delete(&tenant.name, &DeleteParams::default()).await?;
    tenant.gone().await;
    erased(&tenant).await
}

#[tokio::test]
async fn a_platform_is_deleted_only_when_it_is_confirmed_by_name() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let platforms: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
    refused(platforms.delete(EXAMPLE, &dry_run()).await, EXAMPLE)
}

#[tokio::test]
async fn what_holds_the_data_of_all_tenants_is_deleted_only_when_it_is_confirmed_by_name() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["tenants.easycode.io", "sharedplatforms.easycode.io"] {
        refused(definitions.delete(name, &dry_run()).await, name)?;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    refused(namespaces.delete(&namespace, &dry_run()).await, &namespace)?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, &namespace);
    refused(claims.delete("data-postgres-0", &dry_run()).await, "data-postgres-0")
}
