//! The operator's metrics.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
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
    leader: Gauge,
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

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("easycode_operator");
        let reconciles = Family::default();
        let reconcile_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let api_requests = Family::default();
        let sql_statements = Family::default();
        let tenants = Family::default();
        let leader = Gauge::default();
        registry.register("reconciles", "Reconciles by controller and outcome", reconciles.clone());
        registry.register("reconcile_seconds", "Time of a reconcile", reconcile_seconds.clone());
        registry.register("api_requests", "Requests to the API server by method and resource", api_requests.clone());
        registry.register("sql_statements", "Statements to Postgres, read or write", sql_statements.clone());
        registry.register("tenants", "Tenants placed on a platform", tenants.clone());
        registry.register("leader", "1 while this replica leads", leader.clone());
        Self { registry, reconciles, reconcile_seconds, api_requests, sql_statements, tenants, leader }
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
