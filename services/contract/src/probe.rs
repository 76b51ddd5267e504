//! What a probe of isolation is told to try, and what it reports.

use serde::{Deserialize, Serialize};

/// Subcommand of every service image that runs a probe.
pub const COMMAND: &str = "probe";
/// Environment variable with the [`ProbePlan`] as JSON.
pub const PLAN: &str = "EASYCODE_PROBE_PLAN";
/// File that the [`ProbeReport`] is written to, as JSON: where Kubernetes takes a container's last words from.
pub const REPORT: &str = "/dev/termination-log";

/// What is to be tried from within a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbePlan {
    /// Addresses (`host:port`) that are known to answer, and that the namespace's policies forbid. Where one answers here, the
    /// cluster enforces no policies, and nothing can be said of the network.
    pub control: Vec<String>,
    /// Addresses of others that must not answer.
    pub forbidden: Vec<String>,
    /// Base URLs of the services' APIs here, which must refuse forged tokens.
    pub services: Vec<String>,
    /// Issuer that forged tokens claim to come from.
    pub issuer: String,
    /// Tenant that forged tokens speak for.
    pub tenant: String,
    /// For how many seconds what must be refused may still answer before that counts: a network engine learns of a pod only once it
    /// runs.
    #[serde(default)]
    pub patience_seconds: u64,
}

/// Folder with a token of a tenant of another home, if there is one.
pub const FOREIGN_DIR: &str = "/etc/easycode/foreign";
/// The file in it.
pub const FOREIGN_TOKEN: &str = "token";

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReport {
    /// How many attempts were made.
    pub attempts: u32,
    /// Whether the network's policies were seen to be enforced; `None` if there was nothing to tell it by.
    pub enforced: Option<bool>,
    /// Why no name was resolved, if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<String>,
    /// What got through, a sentence each; not more than [`ProbeReport::MOST`].
    pub breaches: Vec<String>,
    /// What could not be tried, a sentence each.
    pub untried: Vec<String>,
}

impl ProbeReport {
    /// Most sentences of a list: a container's last words have at most 4096 bytes.
    pub const MOST: usize = 10;
}
