//! The operator's metrics, and what its process uses of the machine.

use std::{collections::BTreeMap, fmt, fs, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

/// All metrics; cheap to share.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Family<Controller, Histogram, fn() -> Histogram>,
    api_requests: Family<Api, Counter>,
    sql_statements: Family<Sql, Counter>,
    tenants: Family<Platform, Gauge>,
    tenants_by_reason: Family<Standing, Gauge>,
    platform_ready: Family<Platform, Gauge>,
    isolation_breached: Family<Place, Gauge>,
    moves: Family<Move, Counter>,
    move_downtime: Histogram,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Move {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    home: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    controller: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    method: String,
    resource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sql {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Platform {
    platform: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    platform: String,
    reason: String,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(Process));
        let registry = root.sub_registry_with_prefix("easycode_operator");
        let reconciles = Family::default();
        let reconcile_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let api_requests = Family::default();
        let sql_statements = Family::default();
        let tenants = Family::default();
        let tenants_by_reason = Family::default();
        let platform_ready = Family::default();
        let isolation_breached = Family::default();
        let moves = Family::default();
        let move_downtime = Histogram::new([1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0]);
        let leader = Gauge::default();
        registry.register("reconciles", "Reconciles by controller and outcome", reconciles.clone());
        registry.register("reconcile_seconds", "Time of a reconcile", reconcile_seconds.clone());
        registry.register("api_requests", "Requests to the API server by method and resource", api_requests.clone());
        registry.register("sql_statements", "Statements to Postgres, read or write", sql_statements.clone());
        registry.register("tenants", "Tenants placed on a platform", tenants.clone());
        registry.register("tenants_by_reason", "Tenants by the reason of their Ready", tenants_by_reason.clone());
        registry.register("platform_ready", "1 while the platform is Ready", platform_ready.clone());
        registry.register(
            "isolation_breached",
            "1 while the last probe of a platform or an instance got through",
            isolation_breached.clone(),
        );
        registry.register("moves", "Moves of tenants between homes that ended, by outcome", moves.clone());
        registry.register(
            "move_write_downtime_seconds",
            "Time for which a tenant that moved could not write",
            move_downtime.clone(),
        );
        registry.register("leader", "1 while this replica leads", leader.clone());
        Self {
            registry: root,
            reconciles,
            reconcile_seconds,
            api_requests,
            sql_statements,
            tenants,
            tenants_by_reason,
            platform_ready,
            isolation_breached,
            moves,
            move_downtime,
            leader,
        }
    }
}

impl Metrics {
    /// Counts a reconcile.
    pub fn reconciled(&self, controller: &str, outcome: &str, took: Duration) {
        self.reconciles
            .get_or_create(&Reconcile { controller: controller.to_owned(), outcome: outcome.to_owned() })
            .inc();
        self.reconcile_seconds
            .get_or_create(&Controller { controller: controller.to_owned() })
            .observe(took.as_secs_f64());
    }

    /// Counts a request to the API server.
    pub fn api_request(&self, method: &str, resource: &str) {
        self.api_requests.get_or_create(&Api { method: method.to_owned(), resource: resource.to_owned() }).inc();
    }

    /// Counts a statement; `kind` is `read` or `write`.
    pub fn sql_statement(&self, kind: &str) {
        self.sql_statements.get_or_create(&Sql { kind: kind.to_owned() }).inc();
    }

    /// Notes how many tenants a platform has.
    pub fn tenants(&self, platform: &str, count: usize) {
        self.tenants
            .get_or_create(&Platform { platform: platform.to_owned() })
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes how all tenants and platforms stand: (platform, reason of `Ready`) of each tenant, and whether a platform is ready.
    pub fn standing<'a>(
        &self,
        tenants: impl Iterator<Item = (&'a str, &'a str)>,
        platforms: impl Iterator<Item = (&'a str, bool)>,
    ) {
        let mut counts = BTreeMap::<_, i64>::new();
        for standing in tenants {
            *counts.entry(standing).or_default() += 1;
        }
        // What is no more must not be told for ever.
        self.tenants_by_reason.clear();
        self.platform_ready.clear();
        for ((platform, reason), count) in counts {
            let labels = Standing { platform: platform.to_owned(), reason: reason.to_owned() };
            self.tenants_by_reason.get_or_create(&labels).set(count);
        }
        for (platform, ready) in platforms {
            self.platform_ready.get_or_create(&Platform { platform: platform.to_owned() }).set(i64::from(ready));
        }
    }

    /// Notes whether the last probe of a platform or an instance got through.
    pub fn isolation(&self, home: &str, breached: bool) {
        self.isolation_breached.get_or_create(&Place { home: home.to_owned() }).set(i64::from(breached));
    }

    /// Tells no more of a platform or an instance that is gone: an alert would go on for ever.
    pub fn forget_isolation(&self, home: &str) {
        self.isolation_breached.remove(&Place { home: home.to_owned() });
    }

    /// Counts a move that ended, and for how many milliseconds nothing could be written.
    pub fn moved(&self, outcome: &str, downtime: Option<i64>) {
        self.moves.get_or_create(&Move { outcome: outcome.to_owned() }).inc();
        if let Some(millis) = downtime.and_then(|millis| u64::try_from(millis).ok()) {
            self.move_downtime.observe(Duration::from_millis(millis).as_secs_f64());
        }
    }

    /// Notes whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// What the process uses, read from Linux at each scrape, by the names that every Prometheus dashboard knows.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, help, field) in [
            ("process_resident_memory_bytes", "Resident memory", "VmRSS:"),
            ("process_resident_memory_peak_bytes", "Most resident memory so far", "VmHWM:"),
        ] {
            if let Some(bytes) = bytes(&status, field) {
                let gauge = ConstGauge::new(bytes);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        if let Some(seconds) = own_cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let name = "process_cpu_seconds";
            counter.encode(encoder.encode_descriptor(name, "Time on CPUs", None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// A field of `/proc/self/status`, which counts in units of 1,024 bytes.
fn bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Seconds that this process was on a CPU, as Linux counts them; `None` elsewhere.
#[must_use]
pub fn own_cpu_seconds() -> Option<f64> {
    fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds)
}

/// User and system time out of `/proc/self/stat`, which Linux counts in hundredths of a second on every architecture.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The program's name stands in parentheses and may contain anything, so fields are counted after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut hundredths = || fields.next()?.parse::<u32>().ok();
    Some((f64::from(hundredths()?) + f64::from(hundredths()?)) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_memory_and_time_as_linux_writes_them() {
        assert_eq!(bytes("Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_097_152));
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 90 0 0 0 150 25 0 0 20 0 1 0 5 0 0";
        assert_eq!(cpu_seconds(stat), Some(1.75));
    }

    #[test]
    fn a_breach_is_told_of_as_long_as_its_home_is_there() {
        let metrics = Metrics::default();
        metrics.isolation("DedicatedInstance aurora", true);
        let line = "easycode_operator_isolation_breached{home=\"DedicatedInstance aurora\"} 1";
        assert!(metrics.encode().contains(line));
        metrics.forget_isolation("DedicatedInstance aurora");
        assert!(!metrics.encode().contains("DedicatedInstance aurora"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn tells_of_the_process_beside_the_operator() {
        let metrics = Metrics::default();
        metrics.api_request("PATCH", "tenants/status");
        let text = metrics.encode();
        for line in [
            "process_resident_memory_bytes ",
            "process_resident_memory_peak_bytes ",
            "process_cpu_seconds_total ",
            "easycode_operator_api_requests_total{method=\"PATCH\",resource=\"tenants/status\"} 1",
        ] {
            assert!(text.lines().any(|one| one.starts_with(line)), "{line} is missing in:\n{text}");
        }
    }
}
