//! Tenants applied all at once, until the last is ready.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use easycode_crds::Tenant;
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    counts::{Counts, Usage},
    figures::Spread,
    ground::{Ground, LABEL, NAME},
    progress, rest,
};
use crate::tenant::tenants;

/// Tenants that are being applied at the same time.
const AT_ONCE: usize = 32;
/// Longest time in which no tenant becomes ready.
const STALLED: Duration = Duration::from_mins(2);

/// How it went.
pub struct Provisioned {
    /// Names of the tenants.
    pub names: Vec<String>,
    /// From the first call to the last tenant that was ready.
    pub took: Duration,
    /// From a tenant's call until it was seen ready.
    pub ready: Spread,
    /// What it took of the operator.
    pub usage: Usage,
    /// Resident memory of the operator afterwards and at most, in MiB.
    pub memory_mib: (f64, f64),
}

/// Applies the tenants and waits for them.
pub async fn provision(ground: &Ground, count: u16) -> anyhow::Result<Provisioned> {
    let names: Vec<_> = (0..count).map(|number| format!("{NAME}-{number:05}")).collect();
    let api = tenants(ground.cluster());
    let before = Counts::take(ground.cluster()).await?;
    let begun = Instant::now();
    let entitlements = ground.entitlements();
    let applying = futures::stream::iter(&names)
        .map(|name| (name, &api, &entitlements))
        .map(|(name, api, entitlements)| async move {
            let started = Instant::now();
            apply(api, name, entitlements).await.with_context(|| format!("applying tenant {name}"))?;
            anyhow::Ok((name.clone(), started))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<HashMap<_, _>>();
    let (started, ()) = tokio::try_join!(applying, all_ready(ground, &names, begun))?;

    let mut times = Vec::new();
    let mut last = begun;
    for (name, started) in &started {
        let ready = ground.watch.ready_at(name).context("a ready tenant")?;
        times.push(ready.duration_since(*started));
        last = last.max(ready);
    }
    // What comes after the last tenant's condition, such as its event, is part of the work.
    let after = rest::settle(ground.cluster()).await?;
    Ok(Provisioned {
        names,
        took: last.duration_since(begun),
        ready: Spread::of(times),
        usage: after.since(&before)?,
        memory_mib: after.memory_mib(),
    })
}

async fn apply(api: &Api<Tenant>, name: &str, entitlements: &[Value]) -> Result<Tenant, kube::Error> {
    let object = json!({
        "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant",
        "metadata": {
            "name": name, "labels": { LABEL: "true" },
            // Confirmed from the start, so that clearing away is one call.
            "annotations": { "easycode.io/confirm-delete": name },
        },
        "spec": {
            "displayName": name, "region": NAME, "deployment": { "platform": NAME }, "deletionPolicy": "Delete",
            "entitlements": entitlements,
            // The limit itself is not what is measured.
            "limits": { "requestsPerSecond": 100_000, "users": 100_000 },
        },
    });
    api.patch(name, &PatchParams::apply(NAME), &Patch::Apply(object)).await
}

async fn all_ready(ground: &Ground, names: &[String], begun: Instant) -> anyhow::Result<()> {
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ready = ground.watch.ready_so_far();
        if ready != before {
            progress(&format!("{ready}/{} ready after {:.1} s", names.len(), begun.elapsed().as_secs_f64()));
            (before, moved) = (ready, Instant::now());
        }
        if ready == names.len() {
            return Ok(());
        }
        if moved.elapsed() > STALLED {
            let waiting = names.iter().find(|name| ground.watch.ready_at(name).is_none()).context("a tenant")?;
            let status = tenants(ground.cluster()).get(waiting).await?.status;
            bail!("no tenant became ready for {STALLED:?}; {waiting} is {status:?}");
        }
    }
}
