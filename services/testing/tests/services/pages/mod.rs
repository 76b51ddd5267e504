//! The tenant's pages, over HTTP as a browser asks for them.

mod browser;
mod notifications;
mod people;
mod protection;
mod settings;

use browser::Browser;
use easycode_testing::{
    Platform, TestTenant,
    people::{ADMINISTRATOR, PASSWORD},
};
use serde_json::json;

/// A company that sells, and its administrator's browser.
async fn company(what: &str) -> anyhow::Result<(TestTenant, Browser)> {
    company_on(&Platform::start().await?, what).await
}

/// The same on a platform where others may be.
async fn company_on(platform: &Platform, what: &str) -> anyhow::Result<(TestTenant, Browser)> {
    let spec = json!({ "entitlements": [
        { "service": "crm" }, { "service": "pos" }, { "service": "procurement", "modules": ["approvals"] },
    ] });
    let (tenant, _) = TestTenant::with_administrator(platform, what, spec).await?;
    let mut browser = Browser::open(platform)?;
    browser.sign_in(&tenant.name, ADMINISTRATOR, PASSWORD).await?;
    Ok((tenant, browser))
}
