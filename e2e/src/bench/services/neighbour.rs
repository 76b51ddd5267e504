//! What a noisy tenant does to the others: one sends ten times what all others do together, and far more than its limit.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_contract::{context::TenantContext, runtime::CONTEXT_KEY};
use serde_json::json;

use super::{
    super::{
        figures::{Spread, round},
        ground::Ground,
        reads::Subject,
    },
    load::{Paced, paced},
};
use crate::{
    tenant::{PATIENCE, TestTenant},
    wait::until,
};

/// Requests a second of all others together.
const OTHERS: u32 = 60;
/// How many times that the noisy one sends.
const TIMES: u32 = 10;
/// Its limit, in requests a second.
const LIMIT: u32 = 20;
/// Rounds with it and without, in turns, and the length of each.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_secs(4);

/// What was measured.
pub struct Neighbour {
    /// The others' times while it is quiet.
    pub without: Spread,
    /// The same while it is not.
    pub with: Spread,
    /// The slower of every other quiet round by the others: how much the slowest differ by themselves.
    pub quiet_p99_ratio: f64,
}

impl Neighbour {
    /// How many times as long the others' slowest took.
    pub fn p99_ratio(&self) -> f64 {
        round(self.with.p99 / self.without.p99)
    }
}

/// Gives the tenant the limit that it is to be over.
pub async fn limit(ground: &Ground, tenant: &str) -> anyhow::Result<()> {
    let tenant = TestTenant { platform: ground.platform.clone(), name: tenant.to_owned() };
    tenant.change(json!({ "limits": { "requestsPerSecond": LIMIT } })).await?;
    until("the noisy tenant's limit is published", PATIENCE, || async {
        let data = tenant.config_map().await?.and_then(|map| map.data).unwrap_or_default();
        let context: TenantContext = serde_json::from_str(data.get(CONTEXT_KEY).context("no context")?)?;
        ensure!(context.limits.requests_per_second == LIMIT, "{:?}", context.limits);
        Ok(())
    })
    .await;
    Ok(())
}

/// Measures.
pub async fn measure(base: &str, noisy: &Subject, others: &[Subject]) -> anyhow::Result<Neighbour> {
    let noisy = std::slice::from_ref(noisy);
    let (mut without, mut with) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..ROUNDS {
        without[round % 2].extend(paced(base, others, OTHERS, ROUND).await?.times);
        let (quiet, loud): (Paced, Paced) =
            tokio::try_join!(paced(base, others, OTHERS, ROUND), paced(base, noisy, OTHERS * TIMES, ROUND))?;
        ensure!(loud.refused > 0, "the noisy tenant was never over its limit");
        ensure!(quiet.refused == 0, "the others are refused for the limit of another");
        with.extend(quiet.times);
    }
    let [one, other] = without.each_ref().map(|times| Spread::of(times.clone()).p99);
    let quiet_p99_ratio = round(one.max(other) / one.min(other));
    Ok(Neighbour { without: Spread::of(without.concat()), with: Spread::of(with), quiet_p99_ratio })
}
