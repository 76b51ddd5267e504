//! Instances and a platform side by side: none waits for another's trouble.

use std::time::{Duration, Instant};

use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    elsewhere::external,
    operator::NAMESPACE,
    own_instance::{OwnInstance, deployment},
    platform::Platform,
    tenant::{TestTenant, fresh_name},
    traffic::{Traffic, all_served},
    wait::until,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::Method;
use serde_json::{from_value, json};

/// What may pass until a change of an instance is in its Deployment.
const PROMPT: Duration = Duration::from_secs(5);

/// More broken neighbours than the operator looks after at once.
const BROKEN: usize = 6;

/// A Secret that leads to where nobody answers, not even with a refusal.
async fn nowhere(cluster: &Cluster) -> anyhow::Result<String> {
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
    let cluster = Platform::example().await?.cluster;
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
    let unreachable = external(&secret);
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
