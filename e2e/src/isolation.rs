//! Turns of the operator's own probes of isolation: asked for, and their verdicts.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    platform::Platform,
    tenant::{TestTenant, fresh_name},
    wait::until,
};

/// Longest time for a turn: two ticks, a Job that bears with a late engine, and the report.
pub const TURN: Duration = Duration::from_mins(4);

/// Asks for a turn. Returns when.
pub async fn ask(platform: &Platform) -> anyhow::Result<Timestamp> {
    let annotations = json!({ "easycode.io/probe-isolation": fresh_name("probe") });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let asked = Timestamp::now();
    platform.api().patch(&platform.name, &PatchParams::default(), &patch).await?;
    Ok(asked)
}

/// The tenant's condition, once it is of a turn after the time.
pub async fn verdict(tenant: &TestTenant, after: Timestamp) -> Condition {
    until("isolation was tried", TURN, || async {
        let tenant = tenant.get().await?;
        let conditions = tenant.status.into_iter().flat_map(|status| status.conditions);
        let found = conditions.into_iter().find(|one| one.type_ == "IsolationVerified").context("never tried")?;
        let said = found.message.split_whitespace().nth(1).context("no time")?;
        let at: Timestamp = said.parse().with_context(|| format!("{said} is no time"))?;
        // Kubernetes counts in seconds.
        ensure!(at.as_second() >= after.as_second(), "tried last at {at}");
        Ok(found)
    })
    .await
}
