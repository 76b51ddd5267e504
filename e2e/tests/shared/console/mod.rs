//! The staff's console and its API, over HTTP, signed in by the demo's identity provider.

mod conflicts;
mod history;
mod input;
mod life;
mod rights;
mod roles;

use easycode_crds::Tenant;
use easycode_e2e::{
    platform::Platform,
    tenant::{TestTenant, fresh_name},
};
use serde_json::{Value, json};

/// A tenant of a fresh name that is not there yet.
async fn newcomer(what: &str) -> anyhow::Result<TestTenant> {
    Ok(TestTenant { platform: Platform::example().await?, name: fresh_name(what) })
}

/// The spec that a test onboards with.
fn spec(platform: &Platform) -> Value {
    json!({
        "displayName": "Electra Mobility", "deployment": { "platform": platform.name },
        "entitlements": [{ "service": "crm", "modules": ["campaigns"] }], "deletionPolicy": "Delete",
    })
}

fn generation(tenant: &Tenant) -> i64 {
    tenant.metadata.generation.unwrap_or_default()
}
