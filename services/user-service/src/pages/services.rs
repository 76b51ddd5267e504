//! What pages ask other services, in the name of who looks at them.

use std::time::Duration;

use easycode_kit::{App, Problem, http::bounded, problem::Violation};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tracing::warn;

use crate::{members::Member, secret::Secret, sessions};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer.
const LONGEST: usize = 1 << 20;

/// Other services, as one of the company's people reaches them.
pub struct Services {
    app: App,
    token: Secret,
}

/// An answer that is no refusal: its body as text.
pub type Answer = Result<String, Refusal>;

/// Why a service did not do what was asked, in its own words.
#[derive(Debug, Deserialize)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// What a person can do about it.
    pub detail: String,
    /// What exactly is not acceptable.
    #[serde(default)]
    pub errors: Vec<Violation>,
}

impl Refusal {
    /// What is wrong: at its places, or as a whole.
    pub fn violations(self) -> Vec<Violation> {
        if self.errors.is_empty() {
            return vec![Violation { pointer: String::new(), detail: self.detail }];
        }
        self.errors
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            403 => Self::forbidden("refused", refusal.detail),
            404 => Self::not_found(refusal.detail),
            422 => Self::violations(refusal.detail, refusal.errors),
            _ => Self::unavailable(refusal.detail),
        }
    }
}

impl Services {
    /// Those of who looks at the page.
    pub async fn of(member: &Member) -> Result<Self, Problem> {
        Ok(Self { app: member.app.clone(), token: sessions::token_of(member).await? })
    }

    /// Reads a document.
    pub async fn get(&self, service: &str, path: &str) -> Result<Value, Problem> {
        let text = self.ask(Method::GET, service, path, None, None).await??;
        serde_json::from_str(&text).map_err(|error| away(service, &error))
    }

    /// Asks for something, of one version if that is given.
    pub async fn ask(
        &self,
        method: Method,
        service: &str,
        path: &str,
        body: Option<&Value>,
        version: Option<i64>,
    ) -> Result<Answer, Problem> {
        let url = format!("{}{path}", self.app.config.api_url(service));
        let mut request = self.app.http.request(method, url).bearer_auth(self.token.reveal()).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        let response = request.send().await.map_err(|error| away(service, &error))?;
        let done = response.status().is_success();
        let bytes = bounded(response, LONGEST).await.map_err(|error| away(service, &error))?;
        if done {
            return Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()));
        }
        serde_json::from_slice(&bytes).map(Err).map_err(|error| away(service, &error))
    }
}

fn away(service: &str, error: &dyn std::fmt::Display) -> Problem {
    warn!(service, %error, "it was not reached for a page");
    Problem::unavailable(format!("{service} does not answer right now; try again"))
}
