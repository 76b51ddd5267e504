//! The benchmarks: of the shared model, of its services ([`services`]), and of dedicated instances ([`dedicated`]).
//!
//! That of the shared model makes a platform of its own with many tenants on the cluster that `make deploy` has
//! prepared, measures what the design promises, and takes all of it away again.

pub mod cost;
pub mod counts;
pub mod dedicated;
pub mod enforce;
pub mod figures;
pub mod ground;
pub mod moving;
pub mod provision;
pub mod reads;
pub mod report;
pub mod rest;
pub mod services;
pub mod watch;

use crate::cluster::Cluster;

use self::{
    cost::Effort,
    ground::{Ground, Programs},
    report::{Measured, Report},
};

/// For what tenancy costs a read of CRM.
const EFFORT: Effort = Effort { pairs: 3_000, warm_up: 300, burst: 1_000, rounds: 4, at_once: 4 };

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(about = "Benchmark of the shared model, on the cluster that `make deploy` has prepared")]
pub struct Options {
    /// Number of tenants.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(4..=10_000))]
    pub tenants: u16,
    /// Seconds to look for writes when there is nothing to do.
    #[arg(long, default_value_t = 300)]
    pub rest_seconds: u64,
    /// Leave platform and tenants there for a closer look; the next run clears them away.
    #[arg(long)]
    pub keep: bool,
}

/// Says what goes on, apart from the report.
pub(crate) fn progress(what: &str) {
    eprintln!("  {what}");
}

/// Measures everything, prints the report and writes it to `target/bench/shared.json`.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    eprintln!("[1/7] a platform of the benchmark's own");
    ground::clear(&cluster).await?;
    let ground = Ground::prepare(&cluster, options.tenants, Programs::Crm).await?;
    eprintln!("[2/7] {} tenants", options.tenants);
    let provisioned = provision::provision(&ground, options.tenants).await?;
    eprintln!("[3/7] at rest for {} s, then all looked at anew", options.rest_seconds);
    let rest = rest::measure(&ground, options).await?;
    eprintln!("[4/7] reads");
    let reads = reads::measure(&ground, &provisioned.names).await?;
    eprintln!("[5/7] what tenancy costs a request");
    let cost = cost::measure(&ground, "crm", &services::CRM, &reads.subjects, EFFORT).await?;
    eprintln!("[6/7] access withdrawn");
    let enforced = enforce::measure(&ground, &provisioned.names).await?;
    let (others, machine) = (ground.watch.changes_of_others(), report::facts(&ground).await?);
    eprintln!("[7/7] clearing away");
    let erased = if options.keep { None } else { ground::clear(&cluster).await? };
    let report = Report::new(options, Measured { provisioned, rest, reads, cost, enforced, others, erased, machine });
    report.write()?;
    print!("{}", report.table());
    Ok(())
}
