//! What is peculiar to single services of an instance.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    names, resources,
    stack::{one, ten},
};

/// What is peculiar to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)").message("services: replicas and autoscaling exclude each other; remove one of them"),
    validation = Rule::new("!has(self.autoscaling) || !has(self.resources) || has(self.resources.requests) && 'cpu' in self.resources.requests || has(self.resources.limits) && 'cpu' in self.resources.limits").message("services: autoscaling measures the CPU by what is requested; name resources.requests.cpu, such as 250m, or leave resources out")
)]
pub struct ServiceOverride {
    /// Name of the service.
    #[schemars(schema_with = "names::service")]
    pub name: String,
    /// Number of pods; one without it and without `autoscaling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,
    /// Lets the number of pods follow the load, as the cluster's metrics server tells it. `resources`, if given, must request CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::schema")]
    pub resources: Option<ResourceRequirements>,
    /// Database connections of each pod.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 200))]
    pub connections: u32,
    /// Further environment of the pods, for customisations of this client. Never a password, since everyone who may see
    /// the instance sees it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(v, self.exists_one(w, w.name == v.name))").message("env: a name is given twice; remove one of the entries"))]
    pub env: Vec<Variable>,
    /// Further files in `/etc/easycode/extra`, by name; not for secrets either.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    pub config: BTreeMap<String, String>,
    /// An image of this client's own instead of the release's. A tag that never moves, or a digest. It must have the
    /// release's schema version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::image")]
    pub image: Option<String>,
}

/// How the number of pods follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("autoscaling: minReplicas must be at most maxReplicas"))]
pub struct Autoscaling {
    /// Least number of pods.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,
    /// Use of the requested CPU, in percent, that the number of pods is to bring about.
    #[serde(rename = "targetCPUPercent", default = "default_target")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu_percent: i32,
}

fn default_target() -> i32 {
    70
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name of the variable. Those by which a service learns what it is and whom to trust are the operator's.
    #[schemars(length(min = 1, max = 100))]
    // Beside the operator's own: what the drivers of Postgres and the Kubernetes API read by themselves, and proxies, to
    // which services would show their tokens. HTTPS_PROXY sees no content, and is allowed.
    #[x_kube(
        validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("env: a name must consist of letters, digits and underscores and not begin with a digit, such as APPROVAL_LEVELS"),
        validation = Rule::new("!self.matches('^(EASYCODE_|PG|KUBERNETES_)') && !(self.upperAscii() in ['KUBECONFIG', 'HTTP_PROXY', 'ALL_PROXY'])").message("env: names that begin with EASYCODE_, PG or KUBERNETES_, and KUBECONFIG, HTTP_PROXY and ALL_PROXY, are refused, because they tell a service whom to trust and where its database is; choose another name, or say it by the fields of the instance")
    )]
    pub name: String,
    /// Its value.
    #[schemars(length(max = 2_000))]
    pub value: String,
}

fn config_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        // All of them together fit into one ConfigMap, whichever the alphabet.
        "additionalProperties": { "type": "string", "maxLength": 8_000 },
        "x-kubernetes-validations": [{
            "rule": "self.all(k, k.size() <= 253 && k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..'))",
            "message": "config: a file's name must consist of at most 253 letters, digits, dashes, underscores and dots and not begin with two dots, such as receipt.html",
        }],
    })
}
