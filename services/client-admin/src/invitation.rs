//! Invitations of a tenant's first administrators, made by user-service in the tenant's home.

use std::time::Duration;

use easycode_contract::runtime::{USER_SERVICE, base_url};
use easycode_crds::Tenant;
use easycode_kit::Problem;
use easycode_operator::{stack::home::Home, tenant::placement::placed_on};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{info, warn};
use utoipa::ToSchema;

use crate::{App, config::own_token, staff::Staff};

/// Longest wait for user-service.
const PATIENCE: Duration = Duration::from_secs(10);

/// A link by which someone becomes a user. It is a secret, told once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Whole link where the home's address is known, else its path.
    pub link: String,
    /// Until when it counts (RFC 3339).
    pub expires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    path: String,
    expires_at: String,
}

/// Makes an invitation.
pub async fn invite(app: &App, tenant: &Tenant, email: &str, staff: &Staff) -> Result<Invitation, Problem> {
    let name = tenant.name_any();
    let home = placed_on(tenant).ok_or_else(|| {
        Problem::conflict(format!("tenant {name} has no home yet; wait until it is Ready, then invite"))
    })?;
    let token = own_token(&app.config.user_service_token).await.map_err(|error| {
        warn!(error = format!("{error:#}"), "the token for user-service can't be read");
        Problem::internal()
    })?;
    let url = url(&home, &name);
    let request = app.http.post(url).timeout(PATIENCE).bearer_auth(token);
    let answer = request.json(&json!({ "email": email, "by": staff.email })).send().await.map_err(|error| {
        warn!(error = %error.without_url(), tenant = name, "user-service");
        Problem::unavailable(format!("user-service of {home} does not answer; see whether its release has it"))
    })?;
    let status = answer.status();
    if !status.is_success() {
        let told: Value = answer.json().await.unwrap_or_default();
        let detail = told["detail"].as_str().unwrap_or("it gave no reason").chars().take(500).collect::<String>();
        warn!(%status, tenant = name, "user-service refused an invitation");
        return Err(match status.as_u16() {
            404 | 409 | 422 => Problem::of(status, format!("user-service refused the invitation: {detail}")),
            _ => Problem::unavailable(format!("user-service refused the invitation: {detail}")),
        });
    }
    let made: Made =
        answer.json().await.map_err(|_| Problem::unavailable("user-service's answer is not understood"))?;
    info!(tenant = name, by = staff.email, "invited an administrator");
    let endpoint = tenant.status.as_ref().and_then(|status| status.endpoint.as_deref()).unwrap_or_default();
    Ok(Invitation { link: format!("{}{}", endpoint.trim_end_matches('/'), made.path), expires_at: made.expires_at })
}

fn url(home: &Home, tenant: &str) -> String {
    format!("{}/internal/v1/tenants/{tenant}/invitations", base_url(USER_SERVICE, &home.namespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_goes_to_the_tenants_home() {
        let expected = "http://user-service.easycode-instance-acme.svc:8080/internal/v1/tenants/acme/invitations";
        assert_eq!(url(&Home::Instance("acme".into()), "acme"), expected);
    }
}
