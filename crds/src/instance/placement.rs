//! Where an instance runs, and when it may be changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{names, scalars, scalars::Duration};

/// When an instance may be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Maintenance {
    /// Times at which another release, and what a new operator renders differently, may be rolled out. Without any it
    /// is rolled out at once. What concerns security and credentials never waits.
    #[schemars(length(max = 8))]
    pub windows: Vec<Window>,
}

/// A time that comes again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens, in UTC, as a cron expression of five fields: minute, hour, day of month, month and day of week.
    /// For example `0 2 * * SUN`.
    #[schemars(schema_with = "cron_schema")]
    pub schedule: String,
    /// How long it stays open, from 15m to 1d. What was begun is finished even if the window closes meanwhile.
    #[schemars(schema_with = "window_schema")]
    pub duration: Duration,
}

fn cron_schema(_: &mut SchemaGenerator) -> Schema {
    // A field is a list of `*`, a value or a range, each optionally with a step. That a range does not run backwards,
    // and that the day exists in the month, is beyond a regular expression; the operator tells.
    let field = |value: &str| format!("([*]|({value})(-({value}))?)(/[1-9][0-9]?)?");
    let fields = [
        "[0-5]?[0-9]",
        "[01]?[0-9]|2[0-3]",
        "0?[1-9]|[12][0-9]|3[01]",
        "0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
        "[0-7]|sun|mon|tue|wed|thu|fri|sat",
    ]
    .map(|value| format!("{field}(,{field})*", field = field(value)));
    json_schema!({
        "type": "string",
        "minLength": 9,
        "maxLength": 100,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches('(?i)^{}$')", fields.join(" +")),
            "message": "schedule: must be a cron expression of five fields (minute, hour, day of month, month, day of week), such as 0 2 * * SUN",
        }],
    })
}

fn window_schema(generator: &mut SchemaGenerator) -> Schema {
    scalars::between(generator, Duration::from_secs(15 * 60), Duration::from_secs(86_400))
}

/// Where an instance runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Region that the client's data must stay in, for example `eu-central`. Pods run only on nodes that carry it as
    /// `topology.kubernetes.io/region`. Can't be changed.
    #[schemars(schema_with = "names::region")]
    pub region: String,
    /// Further labels that a node must carry, for example `easycode.io/pool: aurora`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "node_selector_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate, so that nodes can be kept for this client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tolerations_schema")]
    pub tolerations: Vec<Toleration>,
}

const LABEL: &str = "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$";
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$";

fn node_selector_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63 },
        "x-kubernetes-validations": [
            {
                "rule": format!("self.all(k, k.size() <= 316 && k.matches('{LABEL}'))"),
                "message": "nodeSelector: a key must be a label's name, such as easycode.io/pool",
            },
            {
                "rule": format!("self.all(k, self[k].matches('{LABEL_VALUE}'))"),
                "message": "nodeSelector: a value must be a label's: at most 63 letters, digits, dashes, underscores and dots",
            },
            {
                "rule": "!('topology.kubernetes.io/region' in self)",
                "message": "nodeSelector: topology.kubernetes.io/region follows from location.region; remove it",
            },
        ],
    })
}

fn tolerations_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "properties": {
                "key": {
                    "type": "string",
                    "description": "Key of the taint.",
                    "maxLength": 316,
                    "x-kubernetes-validations": [{
                        "rule": format!("self.matches('{LABEL}')"),
                        "message": "tolerations: a key must be a label's name, such as easycode.io/pool",
                    }],
                },
                "operator": {
                    "type": "string",
                    "description": "`Equal`, also without it: the taint's value is `value`. `Exists`: whatever it is.",
                    "enum": ["Equal", "Exists"],
                },
                "value": {
                    "type": "string",
                    "description": "Value of the taint.",
                    "maxLength": 63,
                    "x-kubernetes-validations": [{
                        "rule": format!("self.matches('{LABEL_VALUE}')"),
                        "message": "tolerations: a value must be a label's: at most 63 letters, digits, dashes, underscores and dots",
                    }],
                },
                "effect": {
                    "type": "string",
                    "description": "Effect of the taint; every effect without it.",
                    "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                },
                "tolerationSeconds": {
                    "type": "integer",
                    "format": "int64",
                    "description": "How long a pod stays on a node with the taint, with effect NoExecute; forever without it.",
                    "minimum": 0,
                    "maximum": 31_536_000,
                },
            },
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.key)",
                    "message": "tolerations: name a key, such as easycode.io/pool; what bears every taint would run on nodes that are kept for others",
                },
                {
                    "rule": "!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
                    "message": "tolerations: operator Exists has no value; remove it or set operator to Equal",
                },
                {
                    "rule": "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                    "message": "tolerations: only effect NoExecute has tolerationSeconds; remove it or set effect to NoExecute",
                },
            ],
        },
    })
}
