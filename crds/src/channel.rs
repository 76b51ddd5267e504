//! `ReleaseChannel`: a name that stands for one version now and for a newer one later.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names;

/// What the instances that follow the channel run.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "easycode.io",
    version = "v1alpha1",
    kind = "ReleaseChannel",
    status = "ReleaseChannelStatus",
    derive = "PartialEq",
    shortname = "chan",
    category = "easycode",
    doc = "A channel of releases, such as stable: the instances that follow it are brought to the version that it offers, each in a maintenance window of its own.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Release", type_ = "string", json_path = ".status.release"),
    printcolumn(name = "Instances", type_ = "integer", json_path = ".status.instances"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: must have at most 40 characters; choose a shorter name")
)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseChannelSpec {
    /// Version of the `Release` that the channel offers, such as `2026.11.0`. Changing it rolls that one out to all instances
    /// that follow the channel, as their maintenance windows open.
    #[schemars(schema_with = "names::version")]
    pub version: String,
}

/// What was observed of a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseChannelStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: there is a release of the version.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the `Release` of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How many instances follow the channel.
    pub instances: i32,
}
