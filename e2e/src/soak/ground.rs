//! What a soak needs beside the example platform, and how all that is a soak's goes away again, be it of a run that was interrupted.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::{DedicatedInstance, tenant::DeletionPolicy};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;

use super::{
    acts::delete,
    company::{Company, Homes, PREFIX, retry},
};
use crate::{
    cluster::Cluster,
    holdings,
    operator::Operator,
    own_instance::OwnInstance,
    own_platform::remove_namespace,
    platform::Platform,
    tenant::{TestTenant, tenants},
};

/// Longest time until everything is well again after the last fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(5);

/// Makes the instance of the company that moves, and waits until both homes can be used.
pub async fn prepare(cluster: &Cluster, mover: &str) -> anyhow::Result<Homes> {
    let platform = Platform::named(cluster.clone(), crate::platform::EXAMPLE).await?;
    let own = OwnInstance::named(cluster, mover);
    own.apply(json!({})).await?;
    // It is served by nobody before its tenant is there, which is onboarded on the platform.
    let homes = Homes { platform, instance: own.platform.clone() };
    let company = Company::new(mover.to_owned(), homes.clone());
    company.tenant().apply(company.spec()).await?;
    own.condition("ServicesAvailable", "True", "").await;
    Operator::of(cluster).aim().await?;
    Ok(homes)
}

/// Waits until the operator and both homes are well.
pub async fn recover(homes: &Homes) -> anyhow::Result<()> {
    super::faults::start_components().await?;
    let homes = homes.clone();
    // In a task, since what waits in vain panics.
    let recovery = tokio::spawn(async move {
        Operator::of(&homes.platform.cluster).settled().await;
        homes.platform.ready(RECOVERY_TIMEOUT).await;
        homes.instance.ready(RECOVERY_TIMEOUT).await;
    });
    recovery.await.context("operator and homes are not well after the faults")
}

/// Removes all that is a soak's: tenants with their data, retained data, instances with their namespaces.
pub async fn clear(cluster: &Cluster) -> anyhow::Result<()> {
    let platform = Platform::of(cluster.clone(), crate::platform::EXAMPLE);
    erase_tenants(cluster, &platform).await?;
    erase_retained(&platform).await?;
    let instances: Api<DedicatedInstance> = Api::all(cluster.client.clone());
    let found = retry("instances are listed", || async { Ok(instances.list(&ListParams::default()).await?) }).await?;
    for name in found.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(PREFIX)) {
        let own = OwnInstance::named(cluster, &name);
        retry("the instance is gone", || async {
            let Some(instance) = instances.get_opt(&name).await? else { return Ok(()) };
            if instance.metadata.deletion_timestamp.is_none() {
                own.delete().await?;
            }
            ensure!(instances.get_opt(&name).await?.is_none(), "it is still there");
            Ok(())
        })
        .await?;
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let found = retry("namespaces are listed", || async { Ok(namespaces.list(&ListParams::default()).await?) }).await?;
    let of_instances = format!("easycode-instance-{PREFIX}");
    for name in found.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(&of_instances)) {
        remove_namespace(cluster, &name).await?;
    }
    Ok(())
}

async fn erase_tenants(cluster: &Cluster, platform: &Platform) -> anyhow::Result<()> {
    let api = tenants(cluster);
    let found = retry("tenants are listed", || async { Ok(api.list(&ListParams::default()).await?) }).await?;
    let ours = found.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(PREFIX));
    for name in ours {
        erase(&TestTenant { platform: platform.clone(), name }).await?;
    }
    Ok(())
}

/// Erases a tenant with its data, wherever it lives.
async fn erase(tenant: &TestTenant) -> anyhow::Result<()> {
    let homes = Homes { platform: tenant.platform.clone(), instance: tenant.platform.clone() };
    let company = Company::new(tenant.name.clone(), homes);
    let policy = json!({ "deletionPolicy": DeletionPolicy::Delete });
    retry("it is to be erased", || async {
        let Some(found) = tenant.api().get_opt(&tenant.name).await? else { return Ok(()) };
        if found.metadata.deletion_timestamp.is_none() {
            tenant.change(policy.clone()).await?;
        }
        Ok(())
    })
    .await?;
    delete(&company).await.with_context(|| tenant.name.clone())
}

/// Takes over what data the platform retains of companies of a soak, and erases it.
async fn erase_retained(platform: &Platform) -> anyhow::Result<()> {
    let all = retry("the registry is read", || holdings::of_all(platform)).await?;
    let ours = all.into_iter().filter(|(role, _)| is_role_of_soak(role));
    for (role, holdings) in ours {
        let Some((uid, _)) = holdings.registered.first() else { continue };
        let name = role.trim_start_matches("t_").replace('_', "-");
        erase_data_of(&TestTenant { platform: platform.clone(), name }, uid).await?;
    }
    Ok(())
}

/// Takes over retained data, and erases it.
async fn erase_data_of(tenant: &TestTenant, uid: &str) -> anyhow::Result<()> {
    retry("retained data is taken over", || async {
        tenant.apply(json!({ "entitlements": [] })).await?;
        tenant.annotate("easycode.io/undelete", uid).await
    })
    .await?;
    let company = Company::new(
        tenant.name.clone(),
        Homes { platform: tenant.platform.clone(), instance: tenant.platform.clone() },
    );
    company.wanted().entitled.clear();
    retry("retained data is in use again", || company.check_status()).await?;
    erase(tenant).await
}

/// Whether a role or schema is that of a company of a soak.
#[must_use]
pub fn is_role_of_soak(role: &str) -> bool {
    role.starts_with(&format!("t_{}", PREFIX.replace('-', "_")))
}
