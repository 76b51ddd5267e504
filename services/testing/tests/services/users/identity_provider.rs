//! Where a company's own login server may be.

use reqwest::Method;
use serde_json::json;

use super::{answer, company, refused};

#[tokio::test]
async fn a_platform_asks_no_address_within_that_nobody_has_allowed() -> anyhow::Result<()> {
    let (_, ada) = company("login", json!({})).await?;
    for issuer in ["http://user-service.easycode-platform-eu1.svc:8080", "https://kubernetes.default.svc"] {
        let change =
            json!({ "issuer": issuer, "clientId": "easycode", "clientSecret": "what-only-both-know", "enabled": true });
        refused(&answer(&ada, Method::PUT, "/identity-provider", Some(change)).await?, 422, "issuer")?;
    }
    Ok(())
}
