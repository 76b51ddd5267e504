//! The passwords of a platform's Postgres: made once and kept, and made anew where they are lost.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    platform::Platform,
    tenant::TestTenant,
    traffic::{Traffic, all_served},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// The operator's own login, which no other can help it out of.
const OPERATOR: &str = "postgres-operator";
/// Longest time until the operator notices, the kubelet brings the new password to Postgres' pod, and it is tried again.
const HEALED: Duration = Duration::from_mins(3);

fn secrets(own: &OwnPlatform) -> Api<Secret> {
    Api::namespaced(own.platform.cluster.client.clone(), &own.platform.namespace())
}

#[tokio::test]
async fn a_lost_password_of_the_operator_is_made_anew_while_tenants_are_served() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "password", json!({})).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "password", json!({})).await?;
    tenant.serves(200).await;
    let old = own.platform.login(OPERATOR).await?;
    let running = Traffic::calm(tenant.request("crm", Method::GET, "/contacts").await?);

    secrets(&own).delete(OPERATOR, &DeleteParams::default()).await?;
    let lost = Instant::now();
    // Postgres learns the new one later than the operator.
    own.platform.condition("DatabaseReady", "False", "DatabaseUnavailable", HEALED).await;
    own.platform.ready(HEALED.saturating_sub(lost.elapsed())).await;
    println!("ready {:?} after the loss", lost.elapsed());
    let refused = PgConnection::connect_with(&old).await.err().context("the lost password is still accepted")?;
    ensure!(refused.to_string().contains("password authentication failed"), "{refused}");
    let newcomer = TestTenant::create(&own.platform, "password", json!({})).await?;
    newcomer.serves(200).await;
    all_served(&running.end().await?)?;
    tokio::try_join!(tenant.erase(), newcomer.erase())?;
    own.remove().await
}

#[tokio::test]
async fn a_secret_that_lost_its_labels_keeps_its_password() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "label", json!({})).await?;
    own.ready().await;
    let mut before = Vec::new();
    let bare = Patch::Merge(json!({ "metadata": { "labels": null } }));
    for name in [OPERATOR, "database-svc-crm", "database-mig-crm"] {
        let secret = secrets(&own).patch(name, &PatchParams::default(), &bare).await?;
        ensure!(secret.metadata.labels.is_none(), "{name} still has labels");
        before.push((name, secret.data.context("an empty Secret")?));
    }
    // A change of the platform makes the operator read them.
    own.apply(json!({ "capacity": { "tenants": 11 } })).await?;
    own.ready().await;
    for (name, before) in before {
        let now = secrets(&own).get(name).await?.data.context("an empty Secret")?;
        ensure!(now == before, "{name} has another password");
    }
    own.remove().await
}
