//! Instances and a platform side by side: none knows another's secrets, and none waits for another's trouble.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::{
    operator::NAMESPACE,
    own_instance::OwnInstance,
    platform::{Answer, Platform},
    reach::reach,
    tenant::{TestTenant, fresh_name},
    tokens,
    traffic::{Traffic, all_served},
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::Method;
use serde_json::{Value, from_value, json};
use sqlx::{Connection, PgConnection};

use super::{api, cluster, deployment};

/// What may pass until a change of an instance is in its Deployment.
const PROMPT: Duration = Duration::from_secs(5);
/// More broken neighbours than the operator looks after at once.
const BROKEN: usize = 6;

#[tokio::test]
async fn two_instances_and_a_platform_share_no_password_no_tenant_and_no_way() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let platform = Platform::example().await?;
    let (one, other) = tokio::try_join!(
        OwnInstance::apply_new(&cluster, "one", json!({})),
        OwnInstance::apply_new(&cluster, "other", json!({})),
    )?;
    let shared = TestTenant::create(&platform, "beside", json!({})).await?;
    tokio::join!(one.ready(), other.ready());
    for (tenant, name) in [(&one.tenant, "Lovelace"), (&other.tenant, "Hopper"), (&shared, "Curie")] {
        tenant.add_contact(name).await?;
    }
    for (tenant, name) in [(&one.tenant, "Lovelace"), (&other.tenant, "Hopper"), (&shared, "Curie")] {
        let answer = tenant.serves(200).await;
        let items = answer.body["items"].as_array().context("no items")?;
        ensure!(items.len() == 1 && items[0]["familyName"] == name, "{answer:?}");
    }

    // A token is worth nothing where its tenant does not live, though all trust the same issuer.
    let homes = [&one.platform, &other.platform, &platform];
    let tenants = [&one.tenant, &other.tenant, &shared];
    for (at, home) in homes.iter().enumerate() {
        for (of, tenant) in tenants.iter().enumerate().filter(|(of, _)| *of != at) {
            let token = tokens::token(&tenant.name, &["crm-user"])?;
            let answer = home.ask("crm", Method::GET, "/contacts", &token, None).await?;
            ensure!(answer.status == 403, "tenant {of} was answered at {at}: {answer:?}");
        }
    }
    // Nor is a password.
    for secret in ["postgres-operator", "database-svc-crm", "database-mig-crm"] {
        for from in &homes {
            for to in homes.iter().filter(|to| to.namespace() != from.namespace()) {
                let address = reach(&cluster, &to.namespace(), "postgres", 5432).await?;
                let login = from.login(secret).await?.host(&address.ip().to_string()).port(address.port());
                let outcome = PgConnection::connect_with(&login).await;
                ensure!(outcome.is_err(), "{secret} of {} opens the Postgres of {}", from.home, to.home);
            }
        }
    }
    shared.erase().await?;
    tokio::try_join!(one.remove(), other.remove())?;
    Ok(())
}

/// A Secret that leads to where nobody answers, not even with a refusal.
async fn nowhere(cluster: &easycode_e2e::cluster::Cluster) -> anyhow::Result<String> {
    let name = fresh_name("secret");
    let secret: Secret = from_value(json!({
        "metadata": { "name": name },
        "stringData": {
            "host": "198.51.100.1", "port": "5432", "user": "ops", "password": "any", "dbname": "ops", "sslmode": "disable",
        },
    }))?;
    Api::<Secret>::namespaced(cluster.client.clone(), NAMESPACE).create(&PostParams::default(), &secret).await?;
    Ok(name)
}

/// Changes the instance and returns how long it took until its Deployment was changed.
async fn reacts(own: &OwnInstance, value: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let variable = json!([{ "name": "crm", "env": [{ "name": "APPROVAL_LEVELS", "value": value }] }]);
    own.change(json!({ "services": variable })).await?;
    until("the change is in the Deployment", Duration::from_mins(1), || async {
        let spec = json!(deployment(own, "crm").await?.spec);
        let variables = spec["template"]["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
        ensure!(variables.contains(&json!({ "name": "APPROVAL_LEVELS", "value": value })), "not yet");
        Ok(())
    })
    .await;
    Ok(begun.elapsed())
}

#[tokio::test]
async fn the_trouble_of_others_slows_nobody() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let platform = Platform::example().await?;
    let own = OwnInstance::apply_new(&cluster, "well", json!({})).await?;
    own.ready().await;
    let shared = TestTenant::create(&platform, "well", json!({})).await?;
    let request = |tenant: &TestTenant| {
        let tenant = tenant.clone();
        async move { tenant.request("crm", Method::GET, "/contacts").await }
    };
    let asking = [Traffic::calm(request(&own.tenant).await?), Traffic::calm(request(&shared).await?)];

    let secret = nowhere(&cluster).await?;
    let unreachable = easycode_e2e::elsewhere::external(&secret);
    let broken =
        try_join_all((0..BROKEN).map(|_| OwnInstance::apply_new(&cluster, "broken", unreachable.clone()))).await?;
    for one in &broken {
        one.says("DatabaseReady", "DatabaseUnavailable", "").await;
    }
    let mut slowest = Duration::ZERO;
    for value in 0..8 {
        slowest = slowest.max(reacts(&own, &value.to_string()).await?);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    println!("with {BROKEN} broken neighbours the slowest reaction took {slowest:?}");
    ensure!(slowest < PROMPT, "a change waited for {slowest:?}");
    let begun = Instant::now();
    let fresh = TestTenant::create(&platform, "fresh", json!({})).await?;
    ensure!(begun.elapsed() < PROMPT, "a new tenant waited for {:?}", begun.elapsed());
    own.ready().await;
    for asking in asking {
        all_served(&asking.end().await?)?;
    }
    tokio::try_join!(fresh.erase(), shared.erase())?;
    try_join_all(broken.into_iter().map(OwnInstance::remove)).await?;
    own.remove().await?;
    Api::<Secret>::namespaced(cluster.client.clone(), NAMESPACE).delete(&secret, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_asked_of_one_instance_reaches_no_other() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (one, other) = tokio::try_join!(
        OwnInstance::apply_new(&cluster, "asked", json!({})),
        OwnInstance::apply_new(&cluster, "left", json!({})),
    )?;
    tokio::join!(one.ready(), other.ready());
    let before = versions(&other).await?;
    one.change(json!({ "services": [{ "name": "crm", "replicas": 2 }] })).await?;
    one.ready().await;
    one.annotate("easycode.io/apply-pending", json!("TICKET-1")).await?;
    one.tenant.change(json!({ "entitlements": [] })).await?;
    super::goes(&one, Kind::Deployment, "crm").await;
    one.ready().await;
    ensure!(versions(&other).await? == before, "the other was touched");
    let token = tokens::token(&other.tenant.name, &["crm-user"])?;
    let request = other.platform.request("crm", Method::GET, "/contacts").await?.bearer_auth(token);
    ensure!(Answer::of(request).await?.status == 200, "the other is not served");
    tokio::try_join!(one.remove(), other.remove())?;
    Ok(())
}

/// The generations of what runs.
async fn versions(own: &OwnInstance) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for (kind, name) in
        [(Kind::Deployment, "crm"), (Kind::Deployment, "tenant-service"), (Kind::StatefulSet, "postgres")]
    {
        let live = api(own, kind).get(name).await?;
        all.push(json!([name, live.metadata.uid, live.metadata.generation]));
    }
    Ok(all)
}
