//! Bounds of an instance's namespace: its quota, the limits of its containers, the addresses it may connect to.

use anyhow::ensure;
use easycode_e2e::{own_instance::OwnInstance, own_platform::BRING_UP, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::{Value, json};

use super::{api, cluster, first_contact};

fn quota(quota: &Value) -> Value {
    json!({ "isolation": { "quota": quota } })
}

#[tokio::test]
async fn a_postgres_that_asks_for_more_than_the_maximum_is_told_of() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let limits = |memory: &str| json!({ "isolation": { "limits": { "maxMemory": memory } } });
    // The tests' Postgres may use 768 MiB.
    let own = OwnInstance::apply_new(&cluster, "dblimits", limits("512Mi")).await?;
    own.says("DatabaseReady", "QuotaExceeded", "maximum memory usage per Container is 512Mi").await;
    own.apply(limits("1Gi")).await?;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn an_exhausted_quota_is_told_of_at_every_step_and_what_runs_goes_on() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let pods = |pods: i32, replicas: i32| json!({ "isolation": { "quota": { "pods": pods } }, "services": [{ "name": "crm", "replicas": replicas }] });
    // Room for Postgres alone, then for a migration beside it, then for the services.
    let own = OwnInstance::apply_new(&cluster, "exhausted", pods(1, 1)).await?;
    own.says("Migrated", "QuotaExceeded", "requested: pods=1, used: pods=1, limited: pods=1").await;
    own.condition("Ready", "False", "QuotaExceeded").await;
    own.apply(pods(2, 1)).await?;
    until("a migration has run", BRING_UP, || async {
        let jobs = api(&own.platform, Kind::Job).list(&ListParams::default()).await?;
        let ran = |job: &DynamicObject| job.name_any().starts_with("migrate-") && job.data["status"]["succeeded"] == 1;
        ensure!(jobs.iter().any(ran), "none has");
        Ok(())
    })
    .await;
    // Which of the others finds no room is a matter of chance.
    own.condition("Ready", "False", "QuotaExceeded").await;
    own.apply(pods(6, 1)).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;

    own.apply(pods(6, 5)).await?;
    own.says("ServicesAvailable", "QuotaExceeded", "exceeded quota").await;
    ensure!(first_contact(&own).await? == "Lovelace", "it is no longer served");
    own.apply(pods(12, 2)).await?;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn an_exhausted_quota_of_storage_is_told_of() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "storage", quota(&json!({ "storage": "100Mi" }))).await?;
    own.says("DatabaseReady", "QuotaExceeded", "limited: requests.storage=100Mi").await;
    own.apply(quota(&json!({ "storage": "1Gi" }))).await?;
    own.ready().await;
    own.remove().await
}
