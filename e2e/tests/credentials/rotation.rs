//! New credentials while requests are served.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_crds::SharedPlatform;
use easycode_e2e::{
    cluster::Cluster,
    operator::Operator,
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
use sqlx::{Connection, PgConnection};

/// A login of each kind.
const LOGINS: [&str; 3] = ["database-svc-crm", "database-mig-crm", "postgres-operator"];
/// Longest time until the login of before is closed: pods are given three minutes.
const CLOSED: Duration = Duration::from_mins(6);

async fn data(platform: &Platform, secret: &str) -> anyhow::Result<BTreeMap<String, ByteString>> {
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    secrets.get(secret).await?.data.context("an empty Secret")
}

async fn request(platform: &Platform, value: &str) -> anyhow::Result<()> {
    let api: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
    let patch = json!({ "metadata": { "annotations": { "easycode.io/rotate-credentials": value } } });
    api.patch(&platform.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
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
    let (mut secrets, mut logins) = (Vec::new(), Vec::new());
    for login in LOGINS {
        secrets.push(data(platform, login).await?);
        logins.push(platform.login(login).await?);
    }
    let operator = Operator::of(&cluster);
    operator.aim().await?;
    let running = Traffic::calm(tenant.request("crm", Method::GET, "/contacts").await?);

    request(platform, "one").await?;
    let asked = Instant::now();
    until("CRM has new credentials", Duration::from_mins(2), || async {
        ensure!(data(platform, LOGINS[0]).await? != secrets[0], "its Secret is as it was");
        Ok(())
    })
    .await;
    operator.kill().await?;
    // Both are accepted until every pod has the new one.
    PgConnection::connect_with(&logins[0]).await?.close().await?;
    PgConnection::connect_with(&platform.login_of("crm").await?).await?.close().await?;
    own.condition("Progressing", "True", "Rotating").await;
    let newcomer = TestTenant::create(platform, "rotate", json!({})).await?;
    newcomer.serves(200).await;

    until("the login of before is closed", CLOSED, || async {
        let refused = PgConnection::connect_with(&logins[0]).await.err().context("it is still accepted")?;
        ensure!(refused.to_string().contains("password authentication failed"), "{refused}");
        Ok(())
    })
    .await;
    println!("closed {:?} after the request", asked.elapsed());
    own.condition("Progressing", "False", "AsPlanned").await;
    own.ready().await;
    all_served(&running.end().await?)?;
    for ((secret, before), login) in LOGINS.iter().zip(&secrets).zip(&logins) {
        ensure!(data(platform, secret).await? != *before, "{secret} is as it was");
        ensure!(PgConnection::connect_with(login).await.is_err(), "what was in {secret} is still accepted");
        PgConnection::connect_with(&platform.login(secret).await?).await?.close().await?;
    }
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
