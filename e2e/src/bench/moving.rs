//! The move of a tenant with much data from the shared platform to an instance of its own.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::{figures::round, progress};
use crate::{cluster::Cluster, own_instance::OwnInstance, platform::Platform, tenant::TestTenant, wait::until};

/// Longest time for the whole move.
const PATIENCE: Duration = Duration::from_mins(30);
/// Rows that are filled in at once; each is some 1.7 KiB.
const ROWS: u32 = 20_000;

/// How it went.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// What was moved, as Postgres counts the schema with its indexes.
    pub move_gib: f64,
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that were written during the copy, and copied again.
    pub rows_caught_up: u64,
    /// From the change of the spec until the tenant is ready in its new home.
    pub move_s: f64,
    /// For how long its writes were refused.
    pub move_write_downtime_s: f64,
}

/// Fills a tenant, makes an instance for it, and moves it there.
pub async fn measure(cluster: &Cluster, megabytes: u32) -> anyhow::Result<Moved> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "moving", json!({})).await?;
    let size = fill(&platform, &tenant.role(), megabytes).await?;
    let own = OwnInstance::named(cluster, &tenant.name);
    own.apply(json!({})).await?;
    own.condition("ServicesAvailable", "True", "").await;
    progress(&format!("{size} MiB are there, and the instance; moving"));
    let writer = tokio::spawn(write_until_put_off(tenant.clone()));
    let started = Instant::now();
    own.tenant.apply(json!({})).await?;
    let status = until("it has moved", PATIENCE, || async {
        let status = json!(own.tenant.get().await?)["status"].take();
        anyhow::ensure!(status["instance"] == own.platform.name.as_str(), "{}", status["move"]);
        let ready = status["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == "Ready");
        anyhow::ensure!(ready.is_some_and(|one| one["status"] == "True"), "{ready:?}");
        Ok(status)
    })
    .await;
    let seconds = started.elapsed().as_secs_f64();
    progress(&format!("{} contacts were made before writes were refused", writer.await?));
    let number = |field: &str| -> anyhow::Result<u64> {
        status["move"][field].as_u64().with_context(|| format!("status.move has no {field}: {}", status["move"]))
    };
    let moved = Moved {
        move_gib: round(f64::from(size) / 1024.0),
        rows: number("rows")?,
        rows_caught_up: number("rowsCaughtUp")?,
        move_s: round(seconds),
        move_write_downtime_s: round(Duration::from_millis(number("writeDowntimeMs")?).as_secs_f64()),
    };
    own.remove().await?;
    Ok(moved)
}

/// Someone who makes a contact now and then, until told to wait.
async fn write_until_put_off(tenant: TestTenant) -> u32 {
    let mut made = 0;
    while tenant.add_contact("Busy").await.is_ok() {
        made += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    made
}

/// Adds contacts until the schema has the size. Their notes don't compress.
async fn fill(platform: &Platform, role: &str, megabytes: u32) -> anyhow::Result<u32> {
    let note = "(SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 50) m)";
    let insert = format!(
        "INSERT INTO {role}.contact (id, family_name, email, custom)
         SELECT gen_random_uuid(), 'Load', gen_random_uuid() || '@example.com', jsonb_build_object('note', {note})
         FROM generate_series(1, {ROWS}) n"
    );
    let measure = format!(
        "SELECT sum(pg_total_relation_size(c.oid)) / 1048576 FROM pg_class c
         WHERE c.relnamespace = '{role}'::regnamespace AND c.relkind = 'r'"
    );
    loop {
        let size: f64 = platform.sql("crm", &measure).await?.trim().parse().context("a size")?;
        progress(&format!("{size:.0} of {megabytes} MiB filled in"));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = size as u32;
        if whole >= megabytes {
            return Ok(whole);
        }
        platform.sql("crm", &insert).await?;
    }
}
