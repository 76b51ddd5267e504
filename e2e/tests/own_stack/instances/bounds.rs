//! Bounds of an instance's namespace: its quota, the limits of its containers, the addresses it may connect to.

use easycode_e2e::own_instance::OwnInstance;
use serde_json::{Value, json};

use super::cluster;

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
async fn an_exhausted_quota_of_storage_is_told_of() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "storage", quota(&json!({ "storage": "100Mi" }))).await?;
    own.says("DatabaseReady", "QuotaExceeded", "limited: requests.storage=100Mi").await;
    own.apply(quota(&json!({ "storage": "1Gi" }))).await?;
    own.ready().await;
    own.remove().await
}
