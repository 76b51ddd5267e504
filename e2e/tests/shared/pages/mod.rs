//! The tenant's pages, over HTTP as a browser asks for them.

mod browser;
mod notifications;
mod people;
mod protection;
mod settings;

use browser::Browser;
use easycode_e2e::{
    people::{ADMINISTRATOR, PASSWORD, tenant_with_administrator},
    platform::Platform,
    tenant::TestTenant,
};
use serde_json::json;

/// A company that sells, and its administrator's browser.
async fn company(what: &str) -> anyhow::Result<(TestTenant, Browser)> {
    let platform = Platform::example().await?;
    let spec = json!({ "entitlements": [
        { "service": "crm" }, { "service": "pos" }, { "service": "procurement", "modules": ["approvals"] },
    ] });
    let (tenant, _) = tenant_with_administrator(&platform, what, spec).await?;
    let mut browser = Browser::open(&platform).await?;
    browser.sign_in(&tenant.name, ADMINISTRATOR, PASSWORD).await?;
    Ok((tenant, browser))
}
