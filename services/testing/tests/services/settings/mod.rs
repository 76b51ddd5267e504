//! A company's settings: what fits, what is refused and why, the versions and the way back.

mod concurrency;
mod history;
mod reconnection;
mod schema;

use anyhow::ensure;
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_testing::{Answer, Platform, TestTenant, tokens};
use reqwest::Method;
use serde_json::{Value, json};

/// A company with a service of each kind of settings, and its administrator.
struct Company {
    tenant: TestTenant,
    administrator: String,
}

impl Company {
    async fn create(what: &str) -> anyhow::Result<Self> {
        Self::create_on(&Platform::start().await?, what).await
    }

    async fn create_on(platform: &Platform, what: &str) -> anyhow::Result<Self> {
        let entitlements = json!({ "entitlements": [
            { "service": "crm" }, { "service": "pos" }, { "service": "procurement", "modules": ["approvals"] },
        ] });
        let tenant = TestTenant::create(platform, what, entitlements).await?;
        let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
        Ok(Self { tenant, administrator })
    }

    /// Asks tenant-service as the administrator, of the version that is given.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        version: Option<i64>,
    ) -> anyhow::Result<Answer> {
        let request = self.tenant.platform.request(TENANT_SERVICE, method, &format!("/settings{path}")).await?;
        let mut request = request.bearer_auth(&self.administrator);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(version) = version {
            request = request.header("If-Match", format!("\"{version}\""));
        }
        Answer::of(request).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.ask(Method::GET, path, None, None).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(answer.body)
    }

    /// Sets, and returns the version.
    async fn set(&self, service: &str, value: Value) -> anyhow::Result<i64> {
        let answer = self.ask(Method::PUT, &format!("/{service}"), Some(value), None).await?;
        ensure!(answer.status == 200, "{service}: {answer:?}");
        Ok(answer.body["version"].as_i64().unwrap_or_default())
    }
}

/// A theme by its appearance.
fn theme(appearance: &str) -> Value {
    json!({ "theme": { "appearance": appearance } })
}
