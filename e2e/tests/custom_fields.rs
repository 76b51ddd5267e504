//! A tenant's own fields in CRM, declared by its administrators.

use std::time::Duration;

use anyhow::ensure;
use easycode_e2e::{platform::Platform, tenant::TestTenant, tokens, wait::until};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn declared_fields_are_enforced_for_this_tenant_alone() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let declaring = TestTenant::create(&platform, "fields-a", json!({})).await?;
    let free = TestTenant::create(&platform, "fields-b", json!({})).await?;
    let administrator = tokens::token(&declaring.name, &["tenant-admin"])?;
    let settings = json!({ "customFields": { "contact": [{ "name": "tier", "type": "Text", "required": true }] } });
    let answer = platform.ask("tenant-service", Method::PUT, "/settings/crm", &administrator, Some(settings)).await?;
    ensure!(answer.status == 200, "{answer:?}");

    // Settings reach the services within a second.
    let plain = json!({ "familyName": "Lovelace" });
    until("a contact without the required field is refused", Duration::from_secs(1), || async {
        let answer = declaring.ask("crm", Method::POST, "/contacts", Some(plain.clone())).await?;
        ensure!(answer.status == 422, "{answer:?}");
        ensure!(answer.body["detail"] == "custom.tier: is required", "{answer:?}");
        Ok(())
    })
    .await;
    let unknown = json!({ "familyName": "Lovelace", "custom": { "tier": "gold", "color": "red" } });
    let answer = declaring.ask("crm", Method::POST, "/contacts", Some(unknown.clone())).await?;
    ensure!(
        answer.status == 422 && answer.body["detail"].as_str().unwrap_or_default().starts_with("custom.color"),
        "{answer:?}"
    );
    let good = json!({ "familyName": "Lovelace", "custom": { "tier": "gold" } });
    let answer = declaring.ask("crm", Method::POST, "/contacts", Some(good)).await?;
    ensure!(answer.status == 201 && answer.body["custom"]["tier"] == "gold", "{answer:?}");

    let answer = free.ask("crm", Method::POST, "/contacts", Some(unknown)).await?;
    ensure!(answer.status == 201, "another tenant's declaration must not count: {answer:?}");
    declaring.erase().await?;
    free.erase().await
}
