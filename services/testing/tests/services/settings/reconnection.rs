//! The connection by which tenant-service hears of changed settings is lost.

use std::time::Duration;

use anyhow::ensure;
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_testing::{Platform, TestTenant, tokens, until};
use reqwest::Method;
use serde_json::json;

/// How often it is lost: what is changed meets the gap by chance.
const ROUNDS: usize = 8;

#[tokio::test]
async fn settings_that_are_changed_while_nobody_listens_reach_the_services() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "deaf", json!({})).await?;
    let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
    for round in 0..ROUNDS {
        let field = format!("round{round}");
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'LISTEN %'";
        let ended: usize = platform.sql("postgres", end).await?.parse()?;
        ensure!(ended > 0, "nobody listened");
        let settings = json!({ "customFields": { "contact": [{ "name": field, "type": "Text" }] } });
        let set = platform.ask(TENANT_SERVICE, Method::PUT, "/settings/crm", &administrator, Some(settings)).await?;
        ensure!(set.status == 200, "{set:?}");
        until(&format!("{field} has reached CRM"), Duration::from_secs(10), || async {
            let contact = json!({ "familyName": "Lovelace", "custom": { &field: "x" } });
            let made = tenant.ask("crm", Method::POST, "/contacts", Some(contact)).await?;
            ensure!(made.status == 201, "{made:?}");
            Ok(())
        })
        .await;
    }
    Ok(())
}
