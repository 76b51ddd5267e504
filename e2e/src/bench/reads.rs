//! Reads through the platform's own pods: a tenant's context, and a contact of CRM.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_contract::runtime::TENANT_SERVICE;
use serde_json::{Value, json};

use super::{figures::Spread, ground::Ground};
use crate::tokens;

/// Tenants that are read of in turn.
const TENANTS: usize = 50;
/// Requests that are measured, after some that are not.
const REQUESTS: usize = 2_000;
const WARM_UP: usize = 200;

/// A tenant to read of: one of its users, and a record.
#[derive(Clone)]
pub struct Subject {
    /// The tenant.
    pub tenant: String,
    /// A user's token.
    pub token: String,
    /// What a record is known by.
    pub record: String,
    /// Path of what is read, below that of the service.
    pub path: String,
}

/// What was measured.
pub struct Reads {
    /// The tenants that were read of.
    pub subjects: Vec<Subject>,
    /// Reads of a tenant's context from tenant-service.
    pub context: Spread,
    /// Reads of a contact from CRM.
    pub crm: Spread,
    /// Whether requests went straight to the Service, or were forwarded through the API server.
    pub straight: bool,
}

/// Measures over a connection that is kept, one request after the other.
pub async fn measure(ground: &Ground, tenants: &[String]) -> anyhow::Result<Reads> {
    let crm = ground.crm("crm").await?;
    let http = easycode_kit::http::client();
    let mut subjects = Vec::new();
    for tenant in tenants.iter().take(TENANTS) {
        subjects.push(subject(&http, &crm, tenant).await.with_context(|| format!("a contact of {tenant}"))?);
    }
    let address = ground.address(TENANT_SERVICE).await?;
    let contexts = format!("http://{address}/tenant/v1/context");
    Ok(Reads {
        context: read(&http, &subjects, |_| contexts.clone()).await?,
        crm: read(&http, &subjects, |subject| format!("{crm}{}", subject.path)).await?,
        subjects,
        straight: !address.ip().is_loopback(),
    })
}

async fn subject(http: &reqwest::Client, crm: &str, tenant: &str) -> anyhow::Result<Subject> {
    let token = tokens::token(tenant, &["crm-user"])?;
    let contact = json!({ "givenName": "Ada", "familyName": "Lovelace", "email": format!("ada@{tenant}.example") });
    let request = http.post(format!("{crm}/contacts")).bearer_auth(&token).json(&contact);
    let made: Value = request.send().await?.error_for_status()?.json().await?;
    let record = made["id"].as_str().context("no id")?.to_owned();
    Ok(Subject { tenant: tenant.to_owned(), token, path: format!("/contacts/{record}"), record })
}

async fn read(
    http: &reqwest::Client,
    subjects: &[Subject],
    url: impl Fn(&Subject) -> String,
) -> anyhow::Result<Spread> {
    let mut times = Vec::with_capacity(REQUESTS);
    for (number, subject) in subjects.iter().cycle().take(WARM_UP + REQUESTS).enumerate() {
        let took = get(http, &url(subject), &subject.token).await?;
        if number >= WARM_UP {
            times.push(took);
        }
    }
    Ok(Spread::of(times))
}

/// Time of a request until its body is there; it must succeed.
pub async fn get(http: &reqwest::Client, url: &str, token: &str) -> anyhow::Result<Duration> {
    let request = http.get(url).bearer_auth(token).timeout(Duration::from_secs(20));
    let started = Instant::now();
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    let took = started.elapsed();
    ensure!(status.is_success(), "{url}: {status} {}", String::from_utf8_lossy(&body));
    Ok(took)
}
