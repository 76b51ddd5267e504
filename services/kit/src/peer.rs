//! Calls from one service to another, on behalf of the caller: with a token of the caller's, so that the other service guards itself
//! as it does against anyone. It says what the caller may do, and what this service takes there for whoever has the caller's roles.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tracing::warn;

use crate::{App, Caller, Problem, guard::NOT_ENTITLED};

/// Longest time for an answer: the caller waits for two.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why another service did not do what was asked.
#[derive(Debug)]
pub enum Unserved {
    /// The tenant is not entitled to it, or to the module.
    NotEntitled,
    /// It is away, or too busy; the same request may be sent again.
    Away(String),
    /// It refused, for the reason that its problem document gives.
    Refused {
        /// HTTP status.
        status: u16,
        /// What a person can do about it.
        detail: String,
    },
}

/// Refuses unless this service has a role elsewhere on the caller's behalf: since the caller has it, or a role here that implies it.
pub fn require_role(caller: &Caller, role: &str) -> Result<(), Problem> {
    if caller.lent_roles().any(|lent| lent == role) { Ok(()) } else { caller.require_role(role) }
}

/// Refuses unless the tenant may use the other service, and this one has the role that it takes there on the caller's behalf.
pub fn require(caller: &Caller, service: &str, role: &str) -> Result<(), Problem> {
    if caller.context.allows(service) {
        return require_role(caller, role);
    }
    let detail = format!("this needs {service}, to which the tenant is not entitled");
    Err(Problem::forbidden("needs-service", detail))
}

/// Sends a body to another service's API, below `/{service}/v1`. `key` makes that the same request sent twice is done once.
pub async fn post(
    app: &App,
    caller: &Caller,
    service: &str,
    path: &str,
    key: &str,
    body: &Value,
) -> Result<Value, Unserved> {
    // Known here already, so nobody waits for a service that may not even run.
    if !caller.context.allows(service) {
        return Err(Unserved::NotEntitled);
    }
    let url = format!("{}{path}", app.config.api_url(service));
    let away = |error: &dyn std::fmt::Display| {
        warn!(service, path, %error, "another service was not reached");
        Unserved::Away(error.to_string())
    };
    let token = app.delegations.token(app, caller).await.map_err(|error| away(&format!("{error:#}")))?;
    let request = app.http.post(url).bearer_auth(token).header("idempotency-key", key).json(body).timeout(PATIENCE);
    let response = request.send().await.map_err(|error| away(&error))?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(|error| away(&error));
    }
    if status == StatusCode::UNAUTHORIZED {
        app.delegations.forget(caller);
    }
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    Err(match status {
        StatusCode::FORBIDDEN if [NOT_ENTITLED, "module-not-entitled"].contains(&&*text("code")) => {
            Unserved::NotEntitled
        }
        StatusCode::TOO_MANY_REQUESTS => away(&"it has too many requests"),
        status if status.is_server_error() => away(&status),
        // Not said by the service's own code: one of another release, or something before it.
        status if text("code").is_empty() => away(&status),
        status => Unserved::Refused { status: status.as_u16(), detail: text("detail") },
    })
}
