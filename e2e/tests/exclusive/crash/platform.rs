//! Killed at every stage of a platform, and of an instance.

use std::future::Future;

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    operator::Operator,
    own_instance::OwnInstance,
    own_platform::{BRING_UP, OwnPlatform, remove_namespace},
    platform::Platform,
    tenant::TestTenant,
    wait::as_soon_as,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{Namespace, Secret},
};
use kube::{Api, api::ListParams};
use serde_json::json;

use super::right;

/// Kills the operator as soon as the stage is seen.
async fn kill_once<F>(platform: &Platform, stage: &str, seen: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    as_soon_as(&format!("{stage} of {}", platform.home), BRING_UP, || async {
        ensure!(seen().await?, "not there yet");
        Ok(())
    })
    .await;
    println!("at {stage}:");
    Operator::of(&platform.cluster).kill().await
}

#[tokio::test]
async fn a_platform_comes_up_although_the_operator_is_killed_at_every_stage() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    Operator::of(&cluster).aim().await?;
    let own = OwnPlatform::apply_new(&cluster, "crash", json!({})).await?;
    killed_at_every_stage(&own.platform).await?;

    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "crash", json!({})).await?;
    tenant.serves(200).await;
    tenant.erase().await?;
    right::nothing_left(&tenant).await?;
    own.remove().await?;
    Operator::of(&cluster).settled().await;
    Ok(())
}

/// Kills the operator at each stage of what comes up.
async fn killed_at_every_stage(platform: &Platform) -> anyhow::Result<()> {
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());

    let namespaces: Api<Namespace> = Api::all(client.clone());
    kill_once(platform, "the namespace", || async { Ok(namespaces.get_opt(&namespace).await?.is_some()) }).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    kill_once(platform, "a Secret", || async { Ok(secrets.get_opt("postgres-operator").await?.is_some()) }).await?;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    kill_once(platform, "the StatefulSet", || async { Ok(sets.get_opt("postgres").await?.is_some()) }).await?;
    kill_once(platform, "the first login", || has(platform, "pg_roles WHERE rolname LIKE 'svc%'")).await?;
    kill_once(platform, "the first database", || has(platform, "pg_database WHERE datname = 'tenant_service'")).await?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let any = ListParams::default();
    kill_once(platform, "a migration", || async { Ok(!jobs.list_metadata(&any).await?.items.is_empty()) }).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    kill_once(platform, "a Deployment", || async { Ok(!deployments.list_metadata(&any).await?.items.is_empty()) })
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_instance_comes_up_although_the_operator_is_killed_at_every_stage() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    Operator::of(&cluster).aim().await?;
    let own = OwnInstance::apply_new(&cluster, "crash", json!({})).await?;
    killed_at_every_stage(&own.platform).await?;
    own.ready().await;
    own.tenant.serves(200).await;
    own.tenant.add_contact("Lovelace").await?;
    Operator::of(&cluster).settled().await;

    // And on its way out: it may be gone by then, but never half.
    let namespace = own.namespace();
    own.tenant.erase().await?;
    own.delete().await?;
    Operator::of(&cluster).kill().await?;
    own.gone().await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), &namespace);
    let left = deployments.list_metadata(&ListParams::default()).await?.items.len();
    ensure!(left == 0, "{left} services still run");
    remove_namespace(&cluster, &namespace).await?;
    Operator::of(&cluster).settled().await;
    Ok(())
}

/// Whether the stack's Postgres answers, and has such a row.
async fn has(platform: &Platform, rows: &str) -> anyhow::Result<bool> {
    let count = platform.sql("postgres", &format!("SELECT count(*) FROM {rows}")).await.context("Postgres")?;
    Ok(count != "0")
}
