//! The figures: as a table for people, with the target beside each, and as JSON for programs.

use std::{collections::BTreeMap, fs};

use anyhow::Context;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};
use serde::Serialize;

use super::{
    Options,
    cost::Cost,
    enforce::Enforced,
    figures::{Spread, round},
    ground::Ground,
    provision::Provisioned,
    reads::Reads,
    rest::Rest,
};
use crate::cluster::checkout;

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    cores: usize,
    memory_mib: u64,
    nodes: usize,
    kubernetes: String,
    postgres: String,
}

impl Machine {
    /// In words.
    #[must_use]
    pub fn described(&self) -> String {
        format!(
            "on {} cores with {} MiB, {} node(s), Kubernetes {}, Postgres {}",
            self.cores, self.memory_mib, self.nodes, self.kubernetes, self.postgres
        )
    }
}

/// What was measured, step by step.
pub struct Measured {
    /// Tenants made.
    pub provisioned: Provisioned,
    /// Writes with nothing to do.
    pub rest: Rest,
    /// Reads through the pods.
    pub reads: Reads,
    /// Cost of tenancy.
    pub cost: Cost,
    /// Access withdrawn.
    pub enforced: Enforced,
    /// Changes of tenants that are not the benchmark's.
    pub others: u64,
    /// Tenants erased a second, unless they were kept.
    pub erased: Option<f64>,
    /// Where all this was.
    pub machine: Machine,
}

/// A difference of two spreads.
#[derive(Debug, Serialize)]
struct Difference {
    p50: f64,
    p99: f64,
}

/// Writes while every tenant was reconciled once more.
#[derive(Debug, Serialize)]
struct Resync {
    reconciles: u64,
    api_writes: u64,
    sql_writes: u64,
}

/// All figures.
#[derive(Debug, Serialize)]
pub struct Report {
    tenants: u16,
    tenants_per_second: f64,
    provisioning_seconds: f64,
    ready_ms: Spread,
    operator_rss_mib: f64,
    operator_rss_peak_mib: f64,
    operator_cpu_seconds: f64,
    api_writes_per_tenant: f64,
    api_writes_by_kind: BTreeMap<String, u64>,
    api_writes_per_tenant_by_server: f64,
    api_reads_per_tenant: f64,
    sql_statements_per_tenant: f64,
    rest_seconds: u64,
    api_writes_at_rest: u64,
    api_writes_at_rest_by_kind: BTreeMap<String, u64>,
    sql_writes_at_rest: u64,
    rows_written_at_rest: u64,
    resync: Resync,
    revoke_ms: Spread,
    suspend_ms: Spread,
    odd_answers_while_withdrawing: u32,
    context_read_ms: Spread,
    crm_read_ms: Spread,
    tenancy_cost_ms: Difference,
    tenancy_cost_sides: Cost,
    erased_per_second: Option<f64>,
    services_reached: &'static str,
    changes_of_other_tenants: u64,
    machine: Machine,
}

impl Report {
    /// Out of what was measured.
    #[must_use]
    pub fn new(options: &Options, measured: Measured) -> Self {
        let Measured { provisioned, rest, reads, cost, enforced, others, erased, machine } = measured;
        let usage = &provisioned.usage;
        let per_tenant = |count: u64| round(float(count) / f64::from(options.tenants));
        let seconds = provisioned.took.as_secs_f64();
        let (with, without) = (cost.service.request_ms, cost.bare.request_ms);
        Self {
            tenants: options.tenants,
            tenants_per_second: round(f64::from(options.tenants) / seconds),
            provisioning_seconds: round(seconds),
            ready_ms: provisioned.ready,
            operator_rss_mib: round(provisioned.memory_mib.0),
            operator_rss_peak_mib: round(provisioned.memory_mib.1),
            operator_cpu_seconds: round(usage.cpu_seconds),
            api_writes_per_tenant: per_tenant(usage.all_api_writes()),
            api_writes_by_kind: usage.api_writes.clone(),
            api_writes_per_tenant_by_server: per_tenant(usage.server_writes),
            api_reads_per_tenant: per_tenant(usage.api_reads),
            sql_statements_per_tenant: per_tenant(usage.sql_writes + usage.sql_reads),
            rest_seconds: options.rest_seconds,
            api_writes_at_rest: rest.idle.all_api_writes(),
            api_writes_at_rest_by_kind: rest.idle.api_writes.clone(),
            sql_writes_at_rest: rest.idle.sql_writes,
            rows_written_at_rest: rest.rows,
            resync: Resync {
                reconciles: rest.resync.reconciles,
                api_writes: rest.resync.all_api_writes(),
                sql_writes: rest.resync.sql_writes,
            },
            revoke_ms: enforced.revoke,
            suspend_ms: enforced.suspend,
            odd_answers_while_withdrawing: enforced.odd,
            context_read_ms: reads.context,
            crm_read_ms: reads.crm,
            tenancy_cost_ms: Difference { p50: round(with.p50 - without.p50), p99: round(with.p99 - without.p99) },
            tenancy_cost_sides: cost,
            erased_per_second: erased.map(round),
            services_reached: if reads.straight { "straight" } else { "forwarded through the API server" },
            changes_of_other_tenants: others,
            machine,
        }
    }

    /// Writes it to `target/bench/shared.json`.
    pub fn write(&self) -> anyhow::Result<()> {
        let folder = checkout().join("target/bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join("shared.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let machine = &self.machine;
        let mut lines = vec![
            format!(
                "{} tenants with {} schemas each, {}",
                self.tenants,
                super::ground::SERVICES.len() + 1,
                machine.described()
            ),
            format!("services reached {}", self.services_reached),
            String::new(),
            row("figure", "value", "target", ""),
        ];
        lines.extend(self.figures().into_iter().map(|figure| figure.line()));
        if self.changes_of_other_tenants > 0 {
            let warning = "note: others changed tenants meanwhile, which disturbs the counts and the times";
            lines.push(format!("{warning} ({} changes seen)", self.changes_of_other_tenants));
        }
        lines.join("\n") + "\n"
    }

    fn figures(&self) -> Vec<Figure> {
        let spread = |what: &'static str, spread: &Spread| {
            let value = format!("p50 {:.2}, p99 {:.2}, max {:.2} ms", spread.p50, spread.p99, spread.max);
            Figure { what, value, target: None }
        };
        let plain = |what, value: String| Figure { what, value, target: None };
        let (crm, bare) = (&self.tenancy_cost_sides.service, &self.tenancy_cost_sides.bare);
        vec![
            plain("tenants a second", format!("{:.1}", self.tenants_per_second))
                .target("≥ 50", self.tenants_per_second >= 50.0),
            spread("create to Ready", &self.ready_ms),
            plain(
                "operator's memory",
                format!("{:.1} MiB, most {:.1} MiB", self.operator_rss_mib, self.operator_rss_peak_mib),
            )
            .target("< 64 MiB", self.operator_rss_peak_mib < 64.0),
            plain("operator's CPU", format!("{:.2} s", self.operator_cpu_seconds)),
            plain("API writes a tenant", format!("{:.2}", self.api_writes_per_tenant))
                .target("≤ 4", self.api_writes_per_tenant <= 4.0),
            plain("  as the API server counts", format!("{:.2}", self.api_writes_per_tenant_by_server)),
            plain("API reads a tenant", format!("{:.2}", self.api_reads_per_tenant)),
            plain("SQL statements a tenant", format!("{:.2}", self.sql_statements_per_tenant)),
            plain("API writes at rest", format!("{} in {} s", self.api_writes_at_rest, self.rest_seconds))
                .target("0", self.api_writes_at_rest == 0),
            plain("SQL writes at rest", format!("{} in {} s", self.sql_writes_at_rest, self.rest_seconds))
                .target("0", self.sql_writes_at_rest == 0),
            plain("  rows written, by Postgres", format!("{}", self.rows_written_at_rest))
                .target("0", self.rows_written_at_rest == 0),
            plain(
                "writes of a resync",
                format!(
                    "{} API, {} SQL in {} reconciles",
                    self.resync.api_writes, self.resync.sql_writes, self.resync.reconciles
                ),
            )
            .target("0", self.resync.api_writes + self.resync.sql_writes == 0),
            spread("service withdrawn to refused", &self.revoke_ms)
                .target("p99 < 1000 ms", self.revoke_ms.p99 < 1_000.0),
            spread("suspended to refused", &self.suspend_ms).target("p99 < 1000 ms", self.suspend_ms.p99 < 1_000.0),
            plain("  other answers meanwhile", format!("{}", self.odd_answers_while_withdrawing))
                .target("0", self.odd_answers_while_withdrawing == 0),
            spread("read of a context", &self.context_read_ms),
            spread("read of a contact in CRM", &self.crm_read_ms),
            plain(
                "cost of tenancy",
                format!("p50 {:.3}, p99 {:.3} ms", self.tenancy_cost_ms.p50, self.tenancy_cost_ms.p99),
            )
            .target("p50 < 1 ms", self.tenancy_cost_ms.p50 < 1.0),
            spread("  with tenancy", &crm.request_ms),
            spread("  without", &bare.request_ms),
            plain(
                "  requests a second",
                format!("{:.0} with, {:.0} without", crm.requests_per_second, bare.requests_per_second),
            ),
            plain(
                "tenants erased a second",
                self.erased_per_second.map_or("kept".to_owned(), |rate| format!("{rate:.1}")),
            ),
        ]
    }
}

/// A line of the table.
struct Figure {
    what: &'static str,
    value: String,
    target: Option<(&'static str, bool)>,
}

impl Figure {
    fn target(self, target: &'static str, met: bool) -> Self {
        Self { target: Some((target, met)), ..self }
    }

    fn line(&self) -> String {
        let (target, met) = self.target.map_or(("", ""), |(target, met)| (target, if met { "met" } else { "missed" }));
        row(self.what, &self.value, target, met)
    }
}

fn row(what: &str, value: &str, target: &str, met: &str) -> String {
    format!("{what:<29} {value:<46} {target:<14} {met}").trim_end().to_owned()
}

/// Facts of machine and cluster.
pub async fn facts(ground: &Ground) -> anyhow::Result<Machine> {
    let client = &ground.cluster().client;
    let nodes: Api<Node> = Api::all(client.clone());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        memory_mib: total.and_then(|total| total.parse::<u64>().ok()).unwrap_or_default() / 1024,
        nodes: nodes.list_metadata(&ListParams::default()).await?.items.len(),
        kubernetes: client.apiserver_version().await?.git_version,
        postgres: ground.platform.sql("postgres", "SHOW server_version").await?,
    })
}

/// Counts here are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}
