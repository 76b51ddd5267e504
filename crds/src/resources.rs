//! The schema of CPU and memory. Kubernetes' own admits amounts that a pod is refused for.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Requests and limits of a container.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "requests": amounts("What the container is promised, such as `cpu: 250m` and `memory: 256Mi`."),
            "limits": amounts("The most that the container gets."),
        },
    })
}

fn amounts(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "maxProperties": 8,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "maxLength": 20,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self >= 0 : isQuantity(self) && !self.startsWith('-')",
                "message": "must be an amount such as 2, 500m or 512Mi",
            }],
        },
    })
}

/// A single amount, of which there must be some.
pub(crate) fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 20,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int ? self > 0 : isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
            "message": "must be an amount above zero such as 2, 500m or 512Mi",
        }],
    })
}
