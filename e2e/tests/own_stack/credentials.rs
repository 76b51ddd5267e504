//! New credentials while requests are served.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    operator::Operator,
    own_instance::OwnInstance,
    own_platform::OwnPlatform,
    platform::Platform,
    tenant::TestTenant,
    traffic::{Traffic, all_served},
    wait::until,
};
use k8s_openapi::{
    ByteString,
    api::{core::v1::Secret, events::v1::Event},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// A login of each kind.
const LOGINS: [&str; 3] = ["database-svc-crm", "database-mig-crm", "postgres-operator"];
/// Longest time until the login of before is closed: pods are given three minutes.
const CLOSED: Duration = Duration::from_mins(6);

async fn data(platform: &Platform, secret: &str) -> anyhow::Result<BTreeMap<String, ByteString>> {
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    secrets.get(secret).await?.data.context("an empty Secret")
}

async fn request(platform: &Platform, value: &str) -> anyhow::Result<()> {
    let patch = json!({ "metadata": { "annotations": { "easycode.io/rotate-credentials": value } } });
    platform.api().patch(&platform.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Waits until Postgres refuses a login by its password.
async fn is_closed(login: &PgConnectOptions) {
    until("the login of before is closed", CLOSED, || async {
        let refused = PgConnection::connect_with(login).await.err().context("it is still accepted")?;
        ensure!(refused.to_string().contains("password authentication failed"), "{refused}");
        Ok(())
    })
    .await;
}

/// Checks that each Secret has changed, that what was in it is refused, and that what is in it now is accepted.
async fn all_are_new(
    platform: &Platform,
    before: &[(BTreeMap<String, ByteString>, PgConnectOptions)],
) -> anyhow::Result<()> {
    for (secret, (held, login)) in LOGINS.iter().zip(before) {
        ensure!(data(platform, secret).await? != *held, "{secret} is as it was");
        ensure!(PgConnection::connect_with(login).await.is_err(), "what was in {secret} is still accepted");
        PgConnection::connect_with(&platform.login(secret).await?).await?.close().await?;
    }
    Ok(())
}

/// What the Secrets hold, and the logins in them.
async fn all_held(platform: &Platform) -> anyhow::Result<Vec<(BTreeMap<String, ByteString>, PgConnectOptions)>> {
    let mut held = Vec::new();
    for secret in LOGINS {
        held.push((data(platform, secret).await?, platform.login(secret).await?));
    }
    Ok(held)
}

#[tokio::test]
async fn a_schedule_renews_an_instances_credentials_without_a_failed_request() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let own = OwnInstance::apply_new(&cluster, "schedule", json!({})).await?;
    own.ready().await;
    own.tenant.serves(200).await;
    let before = all_held(&own.platform).await?;
    let running = Traffic::calm(own.tenant.request("crm", Method::GET, "/contacts").await?);

    // As if the time had passed: a schedule counts from when each was renewed last.
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &own.namespace());
    let aged = json!({ "metadata": { "annotations": { "easycode.io/rotated-at": "2026-01-01T00:00:00Z" } } });
    for secret in LOGINS {
        secrets.patch(secret, &PatchParams::default(), &Patch::Merge(&aged)).await?;
    }
    own.change(json!({ "database": { "rotation": { "every": "1h" } } })).await?;
    own.platform.condition("Progressing", "True", "Rotating", Duration::from_mins(2)).await;
    is_closed(&before[0].1).await;
    own.condition("Progressing", "False", "AsPlanned").await;
    own.ready().await;
    all_served(&running.end().await?)?;
    all_are_new(&own.platform, &before).await?;
    let rotated = own.status().await?.credentials_rotated_at.context("when is not said")?;
    ensure!(!rotated.starts_with("2026-01-01"), "renewed {rotated}");

    // Once a period is once.
    let kept = data(&own.platform, LOGINS[0]).await?;
    own.annotate("e2e", json!("look again")).await?;
    Operator::of(&cluster).settled().await;
    ensure!(data(&own.platform, LOGINS[0]).await? == kept, "renewed again before it is due");
    own.remove().await
}

#[tokio::test]
async fn new_credentials_fail_no_request_and_the_old_ones_are_refused_though_the_operator_is_killed_midway()
-> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "rotate", json!({})).await?;
    own.ready().await;
    let platform = &own.platform;
    let tenant = TestTenant::create(platform, "rotate", json!({})).await?;
    tenant.serves(200).await;
    let before = all_held(platform).await?;
    let operator = Operator::of(&cluster);
    operator.aim().await?;
    let running = Traffic::calm(tenant.request("crm", Method::GET, "/contacts").await?);

    request(platform, "one").await?;
    let asked = Instant::now();
    until("CRM has new credentials", Duration::from_mins(2), || async {
        ensure!(data(platform, LOGINS[0]).await? != before[0].0, "its Secret is as it was");
        Ok(())
    })
    .await;
    operator.kill().await?;
    // Both are accepted until every pod has the new one.
    PgConnection::connect_with(&before[0].1).await?.close().await?;
    PgConnection::connect_with(&platform.login_of("crm").await?).await?.close().await?;
    own.condition("Progressing", "True", "Rotating").await;
    let newcomer = TestTenant::create(platform, "rotate", json!({})).await?;
    newcomer.serves(200).await;

    is_closed(&before[0].1).await;
    println!("closed {:?} after the request", asked.elapsed());
    own.condition("Progressing", "False", "AsPlanned").await;
    own.ready().await;
    all_served(&running.end().await?)?;
    all_are_new(platform, &before).await?;
    let sessions = "SELECT string_agg(DISTINCT usename::text, ' ') FROM pg_stat_activity WHERE usename ~ '_crm$'";
    let sessions = platform.sql("postgres", sessions).await?;
    ensure!(sessions.contains("svc2_crm") && !sessions.contains("svc_crm"), "{sessions}");
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let told = events.list(&ListParams::default().fields("reason=CredentialsRotated")).await?;
    let about =
        |event: &Event| event.regarding.as_ref().and_then(|one| one.name.clone()) == Some(own.platform.name.clone());
    ensure!(told.iter().any(about), "no event: {:?}", told.iter().map(ResourceExt::name_any).collect::<Vec<_>>());

    // What was served is not served again.
    let kept = data(platform, LOGINS[0]).await?;
    operator.settled().await;
    own.apply(json!({ "capacity": { "tenants": 11 } })).await?;
    own.ready().await;
    ensure!(data(platform, LOGINS[0]).await? == kept, "renewed without a request");
    tokio::try_join!(tenant.erase(), newcomer.erase())?;
    own.remove().await
}
