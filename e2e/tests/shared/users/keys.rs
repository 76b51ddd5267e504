//! The keys that tokens are signed with take turns, and nobody is refused for it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    people::{ADMINISTRATOR, Person, ask, tenant_with_administrator},
    platform::{Platform, release_of},
};
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest time until the kubelet has renewed a mounted Secret, the operator's own turn included.
const RENEWED: Duration = Duration::from_mins(4);

/// Names of the published keys.
async fn published(person: &Person) -> anyhow::Result<Vec<Value>> {
    let keys = ask(&person.platform, Method::GET, "/jwks.json", None).await?;
    ensure!(keys.status == 200 && !keys.body.to_string().contains("\"d\""), "{keys:?}");
    Ok(keys.body["keys"].as_array().context("no keys")?.iter().map(|key| key["kid"].clone()).collect())
}

#[tokio::test]
async fn a_turn_of_the_keys_refuses_no_token() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let release = release_of(&cluster, "users", &[TENANT_SERVICE, USER_SERVICE]).await?;
    let own = OwnPlatform::apply_new(&cluster, "keys", json!({ "release": release })).await?;
    own.ready().await;
    let spec = json!({ "entitlements": [] });
    let (tenant, mut ada) = tenant_with_administrator(&own.platform, "keys", spec).await?;
    let before = published(&ada).await?;
    ensure!(before.len() == 3, "{before:?}");

    let patch = json!({ "metadata": { "annotations": { "easycode.io/rotate-credentials": "one" } } });
    own.api().patch(&own.platform.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    let asked = Instant::now();
    let mut old = ada.clone();
    while published(&ada).await? == before {
        ensure!(asked.elapsed() < RENEWED, "{before:?} are still the keys");
        // One of the last moments before, so that it still lives after.
        old = ada.clone();
        ada.refresh().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    println!("the next key signs {:?} after it was asked for", asked.elapsed());
    let after = published(&ada).await?;
    ensure!(after[..2] == before[1..] && !before.contains(&after[2]), "{after:?} after {before:?}");
    ada.refresh().await?;
    let header = |token: &str| token.split('.').next().map(str::to_owned);
    ensure!(header(&ada.token) != header(&old.token), "the same key still signs");
    for person in [&old, &ada] {
        let me = person.done(Method::GET, "/me", None).await?;
        ensure!(me["email"] == ADMINISTRATOR, "{me}");
        let settings = person.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
        ensure!(settings.status == 200, "{settings:?}");
    }
    tenant.erase().await?;
    own.remove().await
}
