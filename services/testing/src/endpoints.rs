//! How the services of a platform or an instance are reached, wherever they run.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use easycode_contract::runtime::path_prefix;
use futures::future::BoxFuture;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Longest time for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A platform or an instance whose services can be asked.
pub trait Reachable: Send + Sync {
    /// Base URL of a service, without a path.
    fn base_url<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<String>>;
    /// A token by which client-admin-service shows user-service who it is.
    fn staff_token(&self) -> BoxFuture<'_, anyhow::Result<String>>;
}

/// Asks the services of a platform or an instance; cheap to clone.
#[derive(Clone)]
pub struct Endpoints {
    home: Arc<dyn Reachable>,
    http: reqwest::Client,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoints")
    }
}

/// An answer of a service.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
    /// The headers' values by lowercase name.
    pub headers: BTreeMap<String, String>,
}

impl Answer {
    /// The code of a problem document, such as `not-entitled`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// What the request is answered with.
    pub async fn of(request: RequestBuilder) -> anyhow::Result<Self> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        Ok(Self { status, headers, body: serde_json::from_slice(&response.bytes().await?).unwrap_or_default() })
    }
}

impl Endpoints {
    /// Those of a platform or an instance.
    #[must_use]
    pub fn new(home: Arc<dyn Reachable>) -> Self {
        Self { home, http: easycode_kit::http::client() }
    }

    /// Base URL of a service, without a path.
    pub async fn base_url(&self, service: &str) -> anyhow::Result<String> {
        self.home.base_url(service).await
    }

    /// Base URL of a service's API.
    pub async fn service(&self, service: &str) -> anyhow::Result<String> {
        Ok(format!("{}/{}/v1", self.base_url(service).await?, path_prefix(service)))
    }

    /// A token by which client-admin-service shows user-service who it is.
    pub async fn staff_token(&self) -> anyhow::Result<String> {
        self.home.staff_token().await
    }

    /// A request to a service, below the base of its API, without a token; to be sent with [`Answer::of`].
    pub async fn request(&self, service: &str, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let url = format!("{}{path}", self.service(service).await?);
        Ok(self.http.request(method, url).timeout(REQUEST_TIMEOUT))
    }

    /// Asks a service, below the base of its API: `("crm", GET, "/contacts", token, None)`.
    pub async fn ask(
        &self,
        service: &str,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(service, method, path).await?.bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }
}
