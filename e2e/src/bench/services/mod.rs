//! The benchmark of the services: what each serves of many tenants in turn, beside the bare query, and what it takes for that.

mod load;
mod neighbour;
mod pods;
mod report;
mod typical;

use anyhow::{Context, ensure};

pub use self::typical::CRM;
use self::{
    pods::Pods,
    report::{Report, ServiceFigures},
    typical::{TYPICAL, Typical},
};
use super::{
    cost::{self, Effort},
    ground::{self, Ground, Programs},
    progress, provision, report as shared,
};
use crate::cluster::Cluster;

/// Reads and writes of each service's pod that are measured.
const READS: usize = 4_000;
const WRITES: usize = 1_500;
/// Times that a pod is replaced for how long it takes to be ready; the slowest counts.
const STARTS: usize = 3;
/// For what tenancy costs.
const EFFORT: Effort = Effort { pairs: 600, warm_up: 200, burst: 1_000, rounds: 4, at_once: 4 };

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(about = "Benchmark of the services, on the cluster that `make deploy` has prepared")]
pub struct Options {
    /// Number of tenants.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(4..=10_000))]
    pub tenants: u16,
    /// Leave platform and tenants there for a closer look; the next run clears them away.
    #[arg(long)]
    pub keep: bool,
}

/// Measures each service of the release, prints the report and writes it to `target/bench/services.json`.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    ground::clear(&cluster).await?;
    let outcome = measure_all(&cluster, options).await;
    eprintln!("[4/4] clearing away");
    if !options.keep {
        // After a failure, too: what is left would take room from others.
        ground::clear(&cluster).await?;
    }
    let (report, failed) = outcome?;
    report.write()?;
    print!("{}", report.table());
    // What was measured of the others counts all the same.
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

async fn measure_all(cluster: &Cluster, options: &Options) -> anyhow::Result<(Report, Vec<String>)> {
    eprintln!("[1/4] a platform of the benchmark's own, with the release's services");
    let ground = Ground::prepare(cluster, options.tenants, Programs::Release).await?;
    eprintln!("[2/4] {} tenants, one of them noisy", options.tenants);
    let tenants = provision::provision(&ground, options.tenants).await?.names;
    let (noisy, others) = tenants.split_first().context("no tenants")?;
    neighbour::limit(&ground, noisy).await?;
    eprintln!("[3/4] the services");
    let (mut services, mut failed) = (Vec::new(), Vec::new());
    for typical in TYPICAL.iter().filter(|typical| ground.services.iter().any(|one| one.name == typical.service)) {
        match measure(&ground, typical, noisy, others).await {
            Ok(figures) => services.push(figures),
            Err(error) => failed.push(format!("{} was not measured: {error:#}", typical.service)),
        }
    }
    let (strangers, machine) = (ground.watch.changes_of_others(), shared::facts(&ground).await?);
    Ok((Report { tenants: options.tenants, changes_of_other_tenants: strangers, services, machine }, failed))
}

async fn measure(
    ground: &Ground,
    typical: &Typical,
    noisy: &String,
    others: &[String],
) -> anyhow::Result<ServiceFigures> {
    let name = typical.service;
    progress(&format!("{name}: its start"));
    let pods = Pods::of(ground, name).await?;
    let mut start_ms = 0_f64;
    for _ in 0..STARTS {
        start_ms = start_ms.max(pods.restart().await?);
    }
    let base = format!("http://{}/{}/v1", ground.address(name).await?, typical.prefix);
    let subjects = load::prepare(typical, &base, others).await?;
    progress(&format!("{name}: reads"));
    let read = load::reads(&base, &subjects, READS).await?;
    progress(&format!("{name}: writes"));
    let write = load::writes(typical, &base, &subjects, WRITES).await?;
    let rss_mib = pods.memory_mib().await?;
    progress(&format!("{name}: what tenancy costs"));
    let cost = cost::measure(ground, name, &typical.program, &subjects, EFFORT).await?;
    progress(&format!("{name}: a noisy neighbour"));
    let noisy = load::prepare(typical, &base, std::slice::from_ref(noisy)).await?;
    let neighbour = neighbour::measure(&base, &noisy[0], &subjects).await?;
    Ok(ServiceFigures::new(name, start_ms, rss_mib, (read, write), cost, &neighbour))
}
