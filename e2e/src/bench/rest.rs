//! What is written when there is nothing to do: within some time of rest, and when every tenant is looked at anew.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{
    Options,
    counts::{Counts, Usage},
    ground::{Ground, LABEL, SERVICES},
    progress,
};
use crate::{cluster::Cluster, tenant::tenants};

/// Longer than Postgres' sessions keep their statistics to themselves.
const QUIET: Duration = Duration::from_secs(12);
/// Longest time until the operator has nothing to do any more.
const PATIENCE: Duration = Duration::from_mins(1);
const AT_ONCE: usize = 16;
/// Rows that anyone has written. Statistics are left out, with their long values (2619 and 3429 are their tables' numbers):
/// Postgres updates them by itself.
const ROWS: &str = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_all_tables
     WHERE relname NOT LIKE 'pg\\_statistic%' AND relname NOT IN ('pg_toast_2619', 'pg_toast_3429')";

/// What was written.
pub struct Rest {
    /// In the time of rest.
    pub idle: Usage,
    /// Rows that Postgres itself has seen written in that time.
    pub rows: u64,
    /// While every tenant was reconciled once more.
    pub resync: Usage,
}

/// Waits until the operator writes nothing any more, and returns its counts then. If others keep it busy, those a while
/// after the work that is measured.
pub async fn settle(cluster: &Cluster) -> anyhow::Result<Counts> {
    let started = Instant::now();
    let mut counts = Counts::take(cluster).await?;
    let mut soon = None;
    loop {
        tokio::time::sleep(QUIET).await;
        let later = Counts::take(cluster).await?;
        let usage = later.since(&counts)?;
        if usage.all_api_writes() + usage.sql_writes + usage.reconciles == 0 {
            // Without the time it took to see that nothing happens.
            return Ok(counts);
        }
        counts = later;
        let soon = soon.get_or_insert_with(|| counts.clone());
        if started.elapsed() > PATIENCE {
            progress(&format!(
                "the operator does not come to rest, so its counts are not those of the benchmark: {usage:?}"
            ));
            return Ok(soon.clone());
        }
    }
}

/// Measures both.
pub async fn measure(ground: &Ground, options: &Options) -> anyhow::Result<Rest> {
    let cluster = ground.cluster();
    let (before, rows) = (Counts::take(cluster).await?, rows(ground).await?);
    tokio::time::sleep(Duration::from_secs(options.rest_seconds)).await;
    let after = Counts::take(cluster).await?;
    let rest = Rest {
        idle: after.since(&before)?,
        rows: self::rows(ground).await? - rows,
        resync: resync(cluster, &tenants(cluster), options.tenants).await?,
    };
    progress(&format!("{} tenants were reconciled once more", rest.resync.reconciles));
    Ok(rest)
}

/// An annotation that means nothing to the operator makes it look at the tenant, as its own resync does every ten minutes.
async fn resync(cluster: &Cluster, api: &Api<easycode_crds::Tenant>, count: u16) -> anyhow::Result<Usage> {
    let before = Counts::take(cluster).await?;
    let touch = Patch::Merge(json!({ "metadata": { "annotations": { "easycode.io/bench-touched": "true" } } }));
    let params = PatchParams::default();
    let ours = api.list_metadata(&ListParams::default().labels(LABEL)).await?;
    let names: Vec<_> = ours.items.into_iter().filter_map(|tenant| tenant.metadata.name).collect();
    futures::stream::iter(&names)
        .map(|name| api.patch_metadata(name, &params, &touch))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    let usage = settle(cluster).await?.since(&before)?;
    ensure!(usage.reconciles >= u64::from(count), "only {} of {count} tenants were reconciled", usage.reconciles);
    Ok(usage)
}

async fn rows(ground: &Ground) -> anyhow::Result<u64> {
    let mut rows = 0;
    for database in ["easycode", "tenant_service"].into_iter().chain(SERVICES) {
        rows += ground.platform.sql(database, ROWS).await?.parse::<u64>()?;
    }
    Ok(rows)
}
