//! How long it takes until a change in a tenant's spec refuses the tenant's requests.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_crds::Tenant;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::{
    figures::Spread,
    ground::{Ground, SERVICES},
    progress,
    reads::get,
};
use crate::{tenant::tenants, tokens};

/// Tenants for each of the two measurements, if there are so many.
const TENANTS: usize = 60;
/// Time between two requests.
const EVERY: Duration = Duration::from_millis(5);
/// Longest time until requests are refused.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured.
pub struct Enforced {
    /// From the call that withdraws a service to the first refusal of that service.
    pub revoke: Spread,
    /// From the call that suspends a tenant to the first refusal.
    pub suspend: Spread,
    /// Answers that were neither: a tenant should see nothing but success and then the refusal.
    pub odd: u32,
}

/// Measures one tenant after the other.
pub async fn measure(ground: &Ground, names: &[String]) -> anyhow::Result<Enforced> {
    let mut bases = Vec::new();
    for service in SERVICES {
        bases.push(format!("{}/contacts?limit=1", ground.crm(service).await?));
    }
    let api = tenants(ground.cluster());
    let (revoked, suspended) = names.split_at(names.len() / 2);
    let (mut revoke, mut suspend, mut odd) = (Vec::new(), Vec::new(), 0);
    for (number, tenant) in revoked.iter().take(TENANTS).enumerate() {
        // Each service in turn, since none is special.
        let at = number % SERVICES.len();
        let kept: Vec<_> =
            SERVICES.iter().filter(|one| **one != SERVICES[at]).map(|one| json!({ "service": one })).collect();
        let change = json!({ "spec": { "entitlements": kept } });
        let (took, strange) = time(&api, tenant, change, &bases[at], "not-entitled").await?;
        revoke.push(took);
        odd += strange;
    }
    progress(&format!("a service was withdrawn from {} tenants", revoke.len()));
    for (number, tenant) in suspended.iter().take(TENANTS).enumerate() {
        let change = json!({ "spec": { "state": "Suspended" } });
        let (took, strange) = time(&api, tenant, change, &bases[number % SERVICES.len()], "tenant-suspended").await?;
        suspend.push(took);
        odd += strange;
    }
    progress(&format!("{} tenants were suspended", suspend.len()));
    Ok(Enforced { revoke: Spread::of(revoke), suspend: Spread::of(suspend), odd })
}

async fn time(
    api: &Api<Tenant>,
    tenant: &str,
    change: Value,
    url: &str,
    code: &str,
) -> anyhow::Result<(Duration, u32)> {
    let token = tokens::token(tenant, &["crm-user"])?;
    let http = easycode_kit::http::client();
    // It must be served before; this also opens the connection.
    get(&http, url, &token).await.with_context(|| format!("{tenant} before the change"))?;
    let started = Instant::now();
    let (params, patch) = (PatchParams::default(), Patch::Merge(change));
    let changing = async { Ok(api.patch(tenant, &params, &patch).await?) };
    let (_, (refused, odd)) = tokio::try_join!(changing, refused(&http, url, &token, code, started))?;
    Ok((refused.duration_since(started), odd))
}

async fn refused(
    http: &reqwest::Client,
    url: &str,
    token: &str,
    code: &str,
    started: Instant,
) -> anyhow::Result<(Instant, u32)> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut odd = 0;
    loop {
        ticks.tick().await;
        let response = http.get(url).bearer_auth(token).timeout(PATIENCE).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        let now = Instant::now();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 403 && problem["code"] == code {
            return Ok((now, odd));
        }
        if !status.is_success() {
            odd += 1;
            progress(&format!("{url} answers {status}: {}", problem["detail"]));
        }
        ensure!(started.elapsed() < PATIENCE, "{url} still answers {status} after {PATIENCE:?}");
    }
}
