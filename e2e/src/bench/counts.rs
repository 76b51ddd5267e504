//! What the operator and the API server have counted so far, read from their metrics.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use crate::{cluster::Cluster, operator::Operator};

const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// One series of a metric.
#[derive(Clone, Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Series {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// The counts at one time.
#[derive(Clone, Debug)]
pub struct Counts {
    leader: String,
    operator: Vec<Series>,
    server: Vec<Series>,
}

/// What was counted between two times.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The operator's writes to the API server by method and resource, without those of its Lease.
    pub api_writes: BTreeMap<String, u64>,
    /// The operator's reads from the API server, without watches and those of its Lease.
    pub api_reads: u64,
    /// The operator's statements that write.
    pub sql_writes: u64,
    /// The operator's statements that read.
    pub sql_reads: u64,
    /// Tenants reconciled.
    pub reconciles: u64,
    /// Seconds of CPU that the operator used.
    pub cpu_seconds: f64,
    /// Writes of tenants' metadata and status, configs and events that the API server has counted, whoever sent them.
    pub server_writes: u64,
}

impl Usage {
    /// All writes to the API server together.
    #[must_use]
    pub fn all_api_writes(&self) -> u64 {
        self.api_writes.values().sum()
    }
}

impl Counts {
    /// Reads them now.
    pub async fn take(cluster: &Cluster) -> anyhow::Result<Self> {
        let operator = Operator::of(cluster);
        let leader = operator.holder().await?.context("no operator leads")?;
        let counted = operator.get(&operator.pod_of(&leader).await?, "/metrics").await?;
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let server = cluster.client.request_text(request).await.context("reading the API server's metrics")?;
        Ok(Self {
            leader,
            operator: read(&counted, &["easycode_operator_", "process_"]),
            server: read(&server, &["apiserver_request_total"]),
        })
    }

    /// Resident memory of the leading operator now, and at most so far, in MiB.
    #[must_use]
    pub fn memory_mib(&self) -> (f64, f64) {
        let mib = |name| self.operator(name, |_| true) / 1024.0 / 1024.0;
        (mib("process_resident_memory_bytes"), mib("process_resident_memory_peak_bytes"))
    }

    /// What was counted from an earlier time to this one. Refuses if another operator leads now.
    pub fn since(&self, before: &Self) -> anyhow::Result<Usage> {
        ensure!(
            self.leader == before.leader,
            "the operator that leads has changed from {} to {} in between, so its counts say nothing",
            before.leader,
            self.leader
        );
        let requests = |series: &&Series| {
            series.name == "easycode_operator_api_requests_total" && series.label("resource") != "leases"
        };
        let writes = |counts: &Self| {
            let mut writes: BTreeMap<String, u64> = BTreeMap::new();
            for series in counts.operator.iter().filter(requests) {
                if WRITES.contains(&series.label("method")) {
                    let what = format!("{} {}", series.label("method"), series.label("resource"));
                    *writes.entry(what).or_default() += whole(series.value);
                }
            }
            writes
        };
        let earlier = writes(before);
        let mut api_writes = writes(self);
        for (what, count) in &mut api_writes {
            *count -= earlier.get(what).copied().unwrap_or_default();
        }
        api_writes.retain(|_, count| *count > 0);
        let grown = |name: &str, accept: &dyn Fn(&Series) -> bool| {
            whole(self.operator(name, accept) - before.operator(name, accept))
        };
        let reads = |series: &Series| series.label("method") == "GET" && series.label("resource") != "leases";
        Ok(Usage {
            api_writes,
            api_reads: grown("easycode_operator_api_requests_total", &reads),
            sql_writes: grown("easycode_operator_sql_statements_total", &|series| series.label("kind") == "write"),
            sql_reads: grown("easycode_operator_sql_statements_total", &|series| series.label("kind") == "read"),
            reconciles: grown("easycode_operator_reconciles_total", &|series| series.label("controller") == "tenant"),
            cpu_seconds: self.operator("process_cpu_seconds_total", |_| true)
                - before.operator("process_cpu_seconds_total", |_| true),
            server_writes: whole(self.server() - before.server()),
        })
    }

    fn operator(&self, name: &str, accept: impl Fn(&Series) -> bool) -> f64 {
        self.operator.iter().filter(|series| series.name == name && accept(series)).map(|series| series.value).sum()
    }

    /// Only what the operator writes for a tenant: the benchmark's own writes have other verbs.
    fn server(&self) -> f64 {
        let of_tenants = |series: &&Series| {
            matches!(
                (series.label("group"), series.label("resource"), series.label("verb")),
                ("easycode.io", "tenants", "PATCH")
                    | ("", "configmaps", "APPLY")
                    | ("events.k8s.io", "events", "POST" | "PATCH")
            )
        };
        self.server.iter().filter(of_tenants).map(|series| series.value).sum()
    }
}

fn read(text: &str, prefixes: &[&str]) -> Vec<Series> {
    let wanted = |line: &&str| prefixes.iter().any(|prefix| line.starts_with(prefix));
    text.lines().filter(wanted).filter_map(parse).collect()
}

/// A line such as `name{label="value"} 1`. No label that is read here has a quote in its value.
fn parse(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\""));
    let labels = pairs.map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned())).collect();
    Some(Series { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// Counters are whole numbers that are sent as floats.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(operator: &str) -> Counts {
        Counts {
            leader: "a_1".to_owned(),
            operator: operator.lines().filter_map(parse).collect(),
            server: parse(r#"apiserver_request_total{code="200",group="",resource="configmaps",verb="APPLY"} 7"#)
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn only_what_came_in_between_counts_and_no_lease() {
        let before = counts(
            "easycode_operator_api_requests_total{method=\"PATCH\",resource=\"tenants/status\"} 5\n\
             easycode_operator_api_requests_total{method=\"PUT\",resource=\"leases\"} 1",
        );
        let after = counts(
            "easycode_operator_api_requests_total{method=\"PATCH\",resource=\"tenants/status\"} 8\n\
             easycode_operator_api_requests_total{method=\"POST\",resource=\"events\"} 2\n\
             easycode_operator_api_requests_total{method=\"GET\",resource=\"secrets\"} 4\n\
             easycode_operator_api_requests_total{method=\"PUT\",resource=\"leases\"} 9\n\
             easycode_operator_sql_statements_total{kind=\"write\"} 6\n\
             process_resident_memory_bytes 2097152",
        );
        let usage = after.since(&before).unwrap();
        let expected = [("PATCH tenants/status".to_owned(), 3), ("POST events".to_owned(), 2)];
        assert_eq!(usage.api_writes, BTreeMap::from(expected));
        assert_eq!((usage.api_reads, usage.sql_writes, usage.sql_reads, usage.server_writes), (4, 6, 0, 0));
        assert!((after.memory_mib().0 - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn counts_of_two_operators_are_not_compared() {
        let other = Counts { leader: "a_2".to_owned(), ..counts("") };
        assert!(other.since(&counts("")).is_err());
    }
}
