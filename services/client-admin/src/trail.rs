//! The audit trail of a tenant, as the operator tells it.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_kit::http::bounded;
use easycode_operator::audit::server::{Answer, path};
use tracing::warn;

use crate::{App, config::own_token};

/// Longest wait for the operator.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest answer, in bytes.
const LONGEST: usize = 4 << 20;

/// The newest records. What could not be read is told as such, since the rest of a page does not depend on it.
pub async fn of_tenant(app: &App, name: &str) -> Answer {
    asked(app, name).await.unwrap_or_else(|error| {
        warn!(error = format!("{error:#}"), tenant = name, "the operator does not tell the audit trail");
        Answer { records: Vec::new(), unread: vec!["all of it, since the operator does not tell it".to_owned()] }
    })
}

async fn asked(app: &App, name: &str) -> anyhow::Result<Answer> {
    let token = own_token(&app.config.operator_token).await?;
    let url = app.config.operator.join(&path(name))?;
    let answer = app.http.get(url).timeout(PATIENCE).bearer_auth(token).send().await?;
    let status = answer.status();
    let body = bounded(answer, LONGEST).await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).context("the answer is not understood")
}
