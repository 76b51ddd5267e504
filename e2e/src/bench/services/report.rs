//! The services' figures: as a table for people, and as JSON for programs.

use std::{collections::BTreeMap, fs};

use anyhow::Context;
use serde::{Serialize, Serializer};

use super::{
    super::{cost::Cost, figures::Spread, report::Machine},
    load::Rate,
    neighbour::Neighbour,
};
use crate::cluster::checkout;

/// What is promised of each.
const LEAST_RATIO: f64 = 0.75;
const MOST_NOISE: f64 = 1.2;
const MOST_MEMORY: f64 = 40.0;
const LONGEST_START: f64 = 1_000.0;

/// Of one service.
#[derive(Debug, Serialize)]
pub struct ServiceFigures {
    #[serde(skip)]
    service: &'static str,
    read_rps: f64,
    write_rps: f64,
    read_ms: Spread,
    write_ms: Spread,
    /// In this process, as the two that follow: the query alone.
    bare_read_rps: f64,
    /// The service's own handler.
    tenancy_read_rps: f64,
    tenancy_throughput_ratio: f64,
    tenancy_cost_sides: Cost,
    rss_mib: f64,
    start_ms: f64,
    noisy_neighbour_p99_ratio: f64,
    /// How much the others' p99 differs between rounds in which nothing is to differ.
    quiet_p99_ratio: f64,
    others_read_ms: Spread,
    others_read_beside_noise_ms: Spread,
}

impl ServiceFigures {
    /// Out of what was measured.
    pub fn new(
        service: &'static str,
        start_ms: f64,
        rss_mib: f64,
        (read, write): (Rate, Rate),
        cost: Cost,
        neighbour: &Neighbour,
    ) -> Self {
        Self {
            service,
            read_rps: read.per_second,
            write_rps: write.per_second,
            read_ms: read.times,
            write_ms: write.times,
            bare_read_rps: cost.bare.requests_per_second,
            tenancy_read_rps: cost.service.requests_per_second,
            tenancy_throughput_ratio: cost.throughput_ratio(),
            tenancy_cost_sides: cost,
            rss_mib,
            start_ms,
            noisy_neighbour_p99_ratio: neighbour.p99_ratio(),
            quiet_p99_ratio: neighbour.quiet_p99_ratio,
            others_read_ms: neighbour.without,
            others_read_beside_noise_ms: neighbour.with,
        }
    }
}

/// Of all.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Tenants that there were.
    pub tenants: u16,
    /// Changes of tenants that are not the benchmark's.
    pub changes_of_other_tenants: u64,
    /// By name.
    #[serde(serialize_with = "by_name")]
    pub services: Vec<ServiceFigures>,
    /// Where it was measured.
    pub machine: Machine,
}

fn by_name<S: Serializer>(services: &[ServiceFigures], serializer: S) -> Result<S::Ok, S::Error> {
    services.iter().map(|one| (one.service, one)).collect::<BTreeMap<_, _>>().serialize(serializer)
}

impl Report {
    /// Writes it to `target/bench/services.json`.
    pub fn write(&self) -> anyhow::Result<()> {
        let folder = checkout().join("target/bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join("services.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// As a table. What misses its target has an exclamation mark.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("{} tenants in turn, {}", self.tenants, self.machine.described()),
            format!(
                "targets: ratio ≥ {LEAST_RATIO}, noise ≤ {MOST_NOISE}, memory < {MOST_MEMORY} MiB, start < {LONGEST_START} ms"
            ),
            String::new(),
            format!(
                "{:<15} {:>7} {:>6} {:>6}  {:>7} {:>6} {:>6}  {:>7} {:>7} {:>6}  {:>6} {:>7} {:>6} {:>6}",
                "service",
                "reads/s",
                "p50",
                "p99",
                "writes/s",
                "p50",
                "p99",
                "bare/s",
                "same/s",
                "ratio",
                "MiB",
                "start",
                "noise",
                "quiet"
            ),
        ];
        for one in &self.services {
            let ratio = one.tenancy_throughput_ratio;
            lines.push(format!(
                "{:<15} {:>7.0} {:>6.2} {:>6.2}  {:>8.0} {:>6.2} {:>6.2}  {:>7.0} {:>7.0} {:>6}  {:>6} {:>7} {:>6} {:>6.2}",
                one.service,
                one.read_rps,
                one.read_ms.p50,
                one.read_ms.p99,
                one.write_rps,
                one.write_ms.p50,
                one.write_ms.p99,
                one.bare_read_rps,
                one.tenancy_read_rps,
                marked(format!("{ratio:.2}"), ratio >= LEAST_RATIO),
                marked(format!("{:.1}", one.rss_mib), one.rss_mib < MOST_MEMORY),
                marked(format!("{:.0}", one.start_ms), one.start_ms < LONGEST_START),
                marked(format!("{:.2}", one.noisy_neighbour_p99_ratio), one.noisy_neighbour_p99_ratio <= MOST_NOISE),
                one.quiet_p99_ratio,
            ));
        }
        if self.changes_of_other_tenants > 0 {
            lines.push(format!(
                "note: others changed tenants meanwhile, which disturbs the times ({} changes seen)",
                self.changes_of_other_tenants
            ));
        }
        lines.join("\n") + "\n"
    }
}

fn marked(value: String, met: bool) -> String {
    if met { value } else { value + "!" }
}
