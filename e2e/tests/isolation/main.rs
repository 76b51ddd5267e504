//! Attacks on the isolation of tenants: with tokens, through the API's fields, in the database, from in the cluster.

mod cluster;
mod database;
mod input;
mod intruder;
mod network;
mod pods;
mod pool;
mod probes;
mod tokens;

use easycode_e2e::{platform::Platform, tenant::TestTenant};
use serde_json::json;

/// Two tenants of the example platform; the first one attacks the second.
async fn two_tenants(what: &str) -> anyhow::Result<(TestTenant, TestTenant)> {
    let platform = Platform::example().await?;
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let (a, b) = (format!("{what}-a"), format!("{what}-b"));
    tokio::try_join!(TestTenant::create(&platform, &a, entitled.clone()), TestTenant::create(&platform, &b, entitled),)
}

/// Erases both.
async fn erase(a: &TestTenant, b: &TestTenant) -> anyhow::Result<()> {
    tokio::try_join!(a.erase(), b.erase())?;
    Ok(())
}
