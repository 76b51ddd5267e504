//! The keys that tokens are signed with rotate, and nobody is refused for it.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_testing::{
    people::{ADMINISTRATOR, Person, ask},
    until,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::company;

/// Names of the published keys.
async fn published(person: &Person) -> anyhow::Result<Vec<Value>> {
    let keys = ask(&person.platform, Method::GET, "/jwks.json", None).await?;
    ensure!(keys.status == 200 && !keys.body.to_string().contains("\"d\""), "{keys:?}");
    Ok(keys.body["keys"].as_array().context("no keys")?.iter().map(|key| key["kid"].clone()).collect())
}

#[tokio::test]
async fn a_rotation_of_the_keys_refuses_no_token() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("keys", json!({ "entitlements": [] })).await?;
    let before = published(&ada).await?;
    ensure!(before.len() == 3, "{before:?}");
    let old = ada.clone();

    tenant.platform.rotate_signing_keys()?;
    let after = until("the rotated keys are published", Duration::from_secs(10), || async {
        let keys = published(&ada).await?;
        ensure!(keys != before, "{keys:?} are still the keys");
        Ok(keys)
    })
    .await;
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
    Ok(())
}
