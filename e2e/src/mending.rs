//! A platform that says what is wrong with it, and what CRM is served by, which is made again when it is broken.

use std::fmt::Debug;

use anyhow::{Context, ensure};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentSpec},
    core::v1::Service,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    objects::MENDED,
    own_platform::{BRING_UP, OwnPlatform},
    platform::Platform,
    wait::until,
};

/// Waits until the platform says by the condition what is wrong.
pub async fn says(own: &OwnPlatform, type_: &str, reason: &str, hint: &str) {
    until(&format!("the platform says {reason}: {hint}"), BRING_UP, || async {
        let told = own.condition(type_, "False", reason).await;
        ensure!(told.contains(hint), "it says {told}");
        Ok(())
    })
    .await;
}

/// The Deployments of a platform.
#[must_use]
pub fn deployments(platform: &Platform) -> Api<Deployment> {
    Api::namespaced(platform.cluster.client.clone(), &platform.namespace())
}

/// How CRM runs.
pub async fn crm_of(platform: &Platform) -> anyhow::Result<DeploymentSpec> {
    deployments(platform).get("crm").await?.spec.context("a Deployment without spec")
}

/// Breaks what CRM is served by, one object after the other, and waits until it is again as it ran.
pub async fn crm_is_mended(platform: &Platform, ran: &DeploymentSpec) -> anyhow::Result<()> {
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    deployments(platform).patch("crm", &PatchParams::default(), &none).await?;
    as_it_ran(platform, ran).await;
    made_again(&deployments(platform)).await?;
    as_it_ran(platform, ran).await;
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());
    made_again(&Api::<Service>::namespaced(client.clone(), &namespace)).await?;
    made_again(&Api::<PodDisruptionBudget>::namespaced(client, &namespace)).await
}

async fn as_it_ran(platform: &Platform, ran: &DeploymentSpec) {
    until("CRM's Deployment is as it was", MENDED, || async {
        let now = crm_of(platform).await?;
        ensure!(now == *ran, "it is {now:?}, and was {ran:?}");
        Ok(())
    })
    .await;
}

/// Deletes CRM's object and waits for another.
async fn made_again<K>(api: &Api<K>) -> anyhow::Result<()>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let before = api.get("crm").await?.uid();
    api.delete("crm", &DeleteParams::background()).await?;
    until("CRM's object is made again", MENDED, || async {
        let now = api.get_opt("crm").await?.context("it is gone")?;
        ensure!(now.uid() != before, "it is still the old one");
        Ok(())
    })
    .await;
    Ok(())
}
