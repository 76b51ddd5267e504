//! The benchmark of dedicated instances: one whole stack, ten at once, what each costs the operator, and the move of a tenant
//! with much data. Everything is of the benchmark's own and goes away again.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context;
use easycode_contract::runtime::COMMON_SERVICES;
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    counts::Counts,
    figures::{Spread, round},
    ground::SERVICES,
    moving::{self, Moved},
    progress, rest,
};
use crate::{
    cluster::{Cluster, checkout},
    own_instance::OwnInstance,
    platform::Platform,
    tenant::fresh_name,
};

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(about = "Benchmark of dedicated instances, on the cluster that `make deploy` has prepared")]
pub struct Options {
    /// Instances that are made at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub instances: u16,
    /// Single instances that are made one after the other before.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub single: u16,
    /// Seconds to look for writes when there is nothing to do.
    #[arg(long, default_value_t = 60)]
    pub rest_seconds: u64,
    /// MiB of the tenant that is moved.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub megabytes: u32,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report {
    instances: u16,
    /// A single one, from the first apply until instance and tenant are ready.
    stack_ready_s: Spread,
    /// A single one, from the first apply until its database is.
    database_ready_s: Spread,
    /// Each of those that are made at once.
    together_ready_s: Spread,
    /// The last of those; the key has the default number in its name, `instances` the number.
    #[serde(rename = "ten_stacks_ready_s")]
    all_ready_s: f64,
    operator_rss_mib: f64,
    api_writes_per_instance: f64,
    sql_statements_per_instance: f64,
    rest_seconds: u64,
    api_writes_at_rest: u64,
    sql_writes_at_rest: u64,
    #[serde(flatten)]
    moved: Moved,
}

/// How long an instance took.
struct Made {
    own: OwnInstance,
    database: Duration,
    stack: Duration,
}

/// Measures, prints the report and writes it to `target/bench/dedicated.json`.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    // Its release and its keys are the model.
    Platform::example().await?;
    eprintln!("[1/4] {} single instances, one after the other", options.single);
    let (mut stacks, mut databases) = (Vec::new(), Vec::new());
    for _ in 0..options.single {
        let Made { own, database, stack } = make(&cluster).await?;
        progress(&format!(
            "Ready after {:.1} s, its database after {:.1} s",
            stack.as_secs_f64(),
            database.as_secs_f64()
        ));
        stacks.push(stack);
        databases.push(database);
        own.remove().await?;
    }
    eprintln!("[2/4] {} instances at once", options.instances);
    let before = Counts::take(&cluster).await?;
    let begun = Instant::now();
    let made = try_join_all((0..options.instances).map(|_| make(&cluster))).await?;
    let together = begun.elapsed();
    let after = rest::settle(&cluster).await?;
    let usage = after.since(&before)?;
    eprintln!("[3/4] at rest for {} s", options.rest_seconds);
    let still = Counts::take(&cluster).await?;
    tokio::time::sleep(Duration::from_secs(options.rest_seconds)).await;
    let idle = Counts::take(&cluster).await?.since(&still)?;
    let times = made.iter().map(|one| one.stack).collect();
    for one in made {
        one.own.remove().await?;
    }
    eprintln!("[4/4] the move of a tenant with {} MiB", options.megabytes);
    let moved = moving::measure(&cluster, options.megabytes).await?;
    let per_instance = |count: u64| -> anyhow::Result<f64> {
        Ok(round(f64::from(u32::try_from(count)?) / f64::from(options.instances)))
    };
    let report = Report {
        instances: options.instances,
        stack_ready_s: Spread::seconds(stacks),
        database_ready_s: Spread::seconds(databases),
        together_ready_s: Spread::seconds(times),
        all_ready_s: round(together.as_secs_f64()),
        operator_rss_mib: round(after.memory_mib().0),
        api_writes_per_instance: per_instance(usage.all_api_writes())?,
        sql_statements_per_instance: per_instance(usage.sql_writes + usage.sql_reads)?,
        rest_seconds: options.rest_seconds,
        api_writes_at_rest: idle.all_api_writes(),
        sql_writes_at_rest: idle.sql_writes,
        moved,
    };
    write(&json!(report))?;
    print!("{}", table(&report));
    Ok(())
}

/// Makes one with all business services, and notes when its database and then all of it is ready.
async fn make(cluster: &Cluster) -> anyhow::Result<Made> {
    let started = Instant::now();
    // So little that many fit on one small node.
    let resources = json!({ "requests": { "cpu": "5m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } });
    let services: Vec<_> = SERVICES.iter().chain(&COMMON_SERVICES).collect();
    let sized: Vec<_> = services.iter().map(|name| json!({ "name": name, "resources": resources })).collect();
    let entitled: Vec<_> = SERVICES.iter().map(|name| json!({ "service": name })).collect();
    let own = OwnInstance::named(cluster, &fresh_name("bench"));
    own.apply(json!({ "services": sized })).await?;
    own.tenant.apply(json!({ "entitlements": entitled })).await?;
    own.condition("DatabaseReady", "True", "").await;
    let database = started.elapsed();
    own.ready().await;
    Ok(Made { own, database, stack: started.elapsed() })
}

fn write(report: &Value) -> anyhow::Result<()> {
    let folder = checkout().join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join("dedicated.json");
    fs::write(&path, serde_json::to_string_pretty(report)? + "\n")
        .with_context(|| format!("writing {}", path.display()))
}

fn table(report: &Report) -> String {
    let (single, together, moved) = (&report.stack_ready_s, &report.together_ready_s, &report.moved);
    let database = &report.database_ready_s;
    let met = |good: bool| if good { "met" } else { "missed" };
    let rows = [
        (
            "a whole stack Ready",
            format!("p50 {:.1} s, max {:.1} s", single.p50, single.max),
            "≤ 20 s",
            met(single.p50 <= 20.0),
        ),
        ("  its database", format!("p50 {:.1} s, max {:.1} s", database.p50, database.max), "", ""),
        (
            "that many at once, each Ready",
            format!("{}: p50 {:.1} s, all {:.1} s", report.instances, together.p50, report.all_ready_s),
            "",
            "",
        ),
        ("operator's memory", format!("{:.1} MiB", report.operator_rss_mib), "", ""),
        ("API writes an instance", format!("{:.1}", report.api_writes_per_instance), "", ""),
        ("SQL statements an instance", format!("{:.1}", report.sql_statements_per_instance), "", ""),
        (
            "API writes at rest",
            format!("{} in {} s", report.api_writes_at_rest, report.rest_seconds),
            "0",
            met(report.api_writes_at_rest == 0),
        ),
        (
            "SQL writes at rest",
            format!("{} in {} s", report.sql_writes_at_rest, report.rest_seconds),
            "0",
            met(report.sql_writes_at_rest == 0),
        ),
        ("moved", format!("{:.2} GiB, {} rows in {:.1} s", moved.move_gib, moved.rows, moved.move_s), "", ""),
        (
            "  writes were refused for",
            format!("{:.1} s, {} rows caught up", moved.move_write_downtime_s, moved.rows_caught_up),
            "< 10 s",
            met(moved.move_write_downtime_s < 10.0),
        ),
    ];
    let line = |(what, value, target, met): &(&str, String, &str, &str)| {
        format!("{what:<31} {value:<40} {target:<8} {met}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
