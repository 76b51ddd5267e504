//! The console's API, as a program of one of the staff asks it.

use http::Method;
use reqwest::Client;
use serde_json::{Value, json};

use super::browser::Browser;
use crate::{cluster::Cluster, platform::Answer};

/// A program of one of the staff.
pub struct Program {
    http: Client,
    base: String,
    token: String,
}

impl Program {
    /// That of one of the demo's staff.
    pub async fn of(cluster: &Cluster, who: &str) -> anyhow::Result<Self> {
        let browser = Browser::open(cluster).await?;
        let token = Browser::id_token(cluster, who).await?;
        Ok(Self {
            http: easycode_kit::http::client(),
            base: format!("http://{}/client-admin/v1", browser.console),
            token,
        })
    }

    /// Base URL of the API.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What it shows to the API.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Asks the API.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    /// Onboards or changes a tenant.
    pub async fn put(&self, name: &str, spec: &Value, seen: Option<i64>) -> anyhow::Result<Answer> {
        let body = json!({ "tenant": { "spec": spec, "seen": seen } });
        self.ask(Method::PUT, &format!("/tenants/{name}"), Some(body)).await
    }
}
