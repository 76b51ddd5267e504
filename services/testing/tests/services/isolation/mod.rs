//! Attacks on the isolation of tenants: with tokens, through the API's fields, in the database.

mod copy;
mod database;
mod input;
mod intruder;
mod namesakes;
mod pool;
mod tokens;

use easycode_testing::{Platform, TestTenant};
use serde_json::json;

/// Two tenants of a platform; the first one attacks the second.
async fn two_tenants(what: &str) -> anyhow::Result<(TestTenant, TestTenant)> {
    let platform = Platform::start().await?;
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let (a, b) = (format!("{what}-a"), format!("{what}-b"));
    tokio::try_join!(TestTenant::create(&platform, &a, entitled.clone()), TestTenant::create(&platform, &b, entitled))
}

/// A platform with the examples' tenants, whom attacks name.
async fn with_examples() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    for name in ["aurora", "borealis", "cirrus"] {
        TestTenant::example(&platform, name).await?;
    }
    Ok(platform)
}
