//! What bounds an instance: amounts, and the addresses it may connect to.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::resources;

/// Bounds of an instance's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Isolation {
    /// Most that all pods together may ask for. Without it 200 pods, which are bounded by the nodes. In any case there is no
    /// Service of type `LoadBalancer` or `NodePort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What a container gets that says nothing, and the most that one may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ContainerLimits>,
    /// Further addresses that the services may connect to, such as systems of the client.
    #[schemars(length(max = 16))]
    pub egress: Vec<Egress>,
}

/// Most that all pods of an instance together may ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Quota {
    /// CPU, for requests as for limits, such as `16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub cpu: Option<Quantity>,
    /// Memory, for requests as for limits, such as `32Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub memory: Option<Quantity>,
    /// Storage of all volume claims, such as `200Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub storage: Option<Quantity>,
    /// Number of pods, with those that migrate and those that come up while others still run; 200 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub pods: Option<i32>,
}

/// Bounds of one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.defaultCpu) || !has(self.maxCpu) || quantity(string(self.defaultCpu)).compareTo(quantity(string(self.maxCpu))) <= 0").message("isolation.limits.defaultCpu: is more than maxCpu; reduce it or raise maxCpu"),
    validation = Rule::new("!has(self.maxCpu) || quantity(string(self.maxCpu)).compareTo(quantity('1')) >= 0").message("isolation.limits.maxCpu: is less than the jobs need that move and archive data; set it to 1 or more"),
    validation = Rule::new("!has(self.maxMemory) || quantity(string(self.maxMemory)).compareTo(quantity('512Mi')) >= 0").message("isolation.limits.maxMemory: is less than the jobs need that move and archive data; set it to 512Mi or more"),
    validation = Rule::new("!has(self.defaultMemory) || !has(self.maxMemory) || quantity(string(self.defaultMemory)).compareTo(quantity(string(self.maxMemory))) <= 0").message("isolation.limits.defaultMemory: is more than maxMemory; reduce it or raise maxMemory")
)]
pub struct ContainerLimits {
    /// CPU of a container that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub default_cpu: Option<Quantity>,
    /// Memory of a container that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub default_memory: Option<Quantity>,
    /// Most CPU of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub max_cpu: Option<Quantity>,
    /// Most memory of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::amount")]
    pub max_memory: Option<Quantity>,
}

/// Addresses that services may connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Network, for example `203.0.113.0/24`, or `203.0.113.7/32` for a single address.
    #[schemars(schema_with = "cidr_schema")]
    pub cidr: String,
    /// TCP ports.
    #[schemars(schema_with = "ports_schema")]
    pub ports: Vec<u16>,
}

/// Where clouds tell a machine its credentials, in IPv4: link-local addresses, and those of Alibaba and Azure.
pub const METADATA_V4: [&str; 3] = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32"];
/// The same in IPv6: link-local addresses, and those of AWS and Google.
pub const METADATA_V6: [&str; 3] = ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"];
/// Addresses of the node itself.
const OF_THE_NODE: [&str; 3] = ["0.0.0.0/8", "127.0.0.0/8", "::1/128"];

fn cidr_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 50,
        "x-kubernetes-validations": [
            {
                "rule": "isCIDR(self) && cidr(self) == cidr(self).masked()",
                "message": "cidr: must be a network without bits beyond its length, such as 203.0.113.0/24, 203.0.113.7/32 or 2001:db8::/32",
            },
            {
                "rule": "!isCIDR(self) || cidr(self).prefixLength() >= (cidr(self).ip().family() == 4 ? 8 : 16)",
                "message": "cidr: is too wide, as 0.0.0.0/0 and ::/0 are; name networks of /8 and longer, in IPv6 of /16 and longer",
            },
            {
                "rule": format!(
                    "!isCIDR(self) || ['{}'].all(f, !cidr(f).containsCIDR(self) && !cidr(self).containsCIDR(f))",
                    [OF_THE_NODE, METADATA_V4, METADATA_V6].concat().join("', '"),
                ),
                "message": "cidr: has addresses of the node itself (loopback, link-local) or of a cloud's metadata, from which the node's credentials can be taken; name only the systems that the services need",
            },
        ],
    })
}

fn ports_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 65_535 },
    })
}
