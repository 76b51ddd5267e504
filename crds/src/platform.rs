//! `SharedPlatform`: one shared multi-tenant installation.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::stack::{EmbeddedDatabase, ExternalDatabase, Identity, SecretRef, ServiceStatus};
use crate::{
    names, resources,
    stack::{one, ten},
};

/// One shared multi-tenant installation: services, one Postgres, one ingress domain.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "easycode.io",
    version = "v1alpha1",
    kind = "SharedPlatform",
    status = "SharedPlatformStatus",
    derive = "PartialEq",
    shortname = "plat",
    category = "easycode",
    doc = "A shared installation of the ERP that many tenants use: its services, its Postgres, its domain. There may be several, by region or to grow past one database.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(name = "Release", type_ = "string", json_path = ".status.release"),
    printcolumn(name = "Tenants", type_ = "integer", json_path = ".status.tenants"),
    printcolumn(name = "Capacity", type_ = "integer", json_path = ".spec.capacity.tenants"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: must have at most 40 characters, because the namespace's name is derived from it; choose a shorter name"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: must consist of lowercase letters, digits and dashes, because the namespace's name is derived from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.region == oldSelf.region").message("region: can't be changed, because tenants' data lives there; make another platform in the other region")
)]
pub struct SharedPlatformSpec {
    /// Region the platform is in, for example `eu-central`. Can't be changed.
    #[schemars(schema_with = "names::region")]
    pub region: String,
    /// Domain the services are reached at, for example `erp.example.com`.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("domain: must be a DNS name in lowercase, such as erp.example.com"))]
    pub domain: String,
    /// How much the platform takes.
    #[serde(default)]
    pub capacity: Capacity,
    /// Name of the `Release` that the platform runs.
    #[schemars(schema_with = "names::resource")]
    pub release: String,
    /// The platform's Postgres.
    #[serde(default)]
    pub database: Database,
    /// How the services are reached from outside. Without it they are reached within the cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Whose tokens the services accept.
    pub identity: Identity,
    /// Sizes of single services; what is not named has one replica and modest resources.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(s, self.exists_one(t, t.name == s.name))").message("services: a service is named twice; merge the entries"))]
    pub services: Vec<ServiceSize>,
}

/// How much a platform takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// Most tenants that are placed here. Postgres rebuilds a service's list of roles after each change to it, which
    /// takes longer the more there are: use several platforms rather than a number far above the default.
    #[schemars(range(min = 1, max = 10_000))]
    pub tenants: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { tenants: 2_000 }
    }
}

/// A platform's Postgres, version 15 or later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.provider == oldSelf.provider",
        "message": "database.provider: can't be changed, because tenants' data is in the database; make another platform",
    },
    {
        "rule": "self.provider != 'External' || has(self.external)",
        "message": "database.external: name the Secret that tells where the external database is",
    },
    {
        "rule": "self.provider == 'External' || !has(self.external)",
        "message": "database.external: only provider External has it; remove it or set provider to External",
    },
    {
        "rule": "self.provider == 'Embedded' || !has(self.embedded)",
        "message": "database.embedded: only provider Embedded has it; remove it or set provider to Embedded",
    },
    // Here and not beside the fields, where nothing would see that `embedded` comes or goes.
    {
        "rule": "self.provider != oldSelf.provider || (has(self.embedded) ? self.embedded.size : '20Gi') == (has(oldSelf.embedded) ? oldSelf.embedded.size : '20Gi')",
        "message": "database.embedded.size: can't be changed here, because a StatefulSet's volume claims are fixed; expand the claim data-postgres-0 instead",
    },
    {
        "rule": "self.provider != oldSelf.provider || (has(self.embedded) && has(self.embedded.storageClass) ? self.embedded.storageClass : '') == (has(oldSelf.embedded) && has(oldSelf.embedded.storageClass) ? oldSelf.embedded.storageClass : '')",
        "message": "database.embedded.storageClass: can't be changed, because a StatefulSet's volume claims are fixed; make another platform",
    },
]))]
pub struct Database {
    /// `Embedded`: the operator runs Postgres in the platform's namespace. `External`: any Postgres, by Secret.
    pub provider: Provider,
    /// Settings of an embedded Postgres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabase>,
    /// Where an external Postgres is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

impl Default for Database {
    fn default() -> Self {
        Self { provider: Provider::Embedded, embedded: None, external: None }
    }
}

/// Who runs the Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// The operator, as a StatefulSet with a persistent volume.
    #[default]
    Embedded,
    /// Someone else.
    External,
}

/// How a platform is reached from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Name of the IngressClass.
    #[schemars(schema_with = "names::object")]
    pub class_name: String,
    /// Namespace of the ingress controller; only it may open connections to the services from outside.
    #[schemars(schema_with = "names::namespace")]
    pub controller_namespace: String,
    /// Secret with the certificate of the domain, in the platform's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub tls_secret: Option<String>,
}

/// Size of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSize {
    /// Name of the service.
    #[schemars(schema_with = "names::service")]
    pub name: String,
    /// Number of pods.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// CPU and memory of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::schema")]
    pub resources: Option<ResourceRequirements>,
    /// Database connections of each pod.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 200))]
    pub connections: u32,
}

/// What was observed of a platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SharedPlatformStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Progressing`, `Degraded`, `DatabaseReady`, `Migrated`, `ServicesAvailable`, `UpdatePending`.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Namespace of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Release that all workloads run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Tenants placed here.
    pub tenants: i32,
    /// One entry a service.
    #[schemars(length(max = 64))]
    pub services: Vec<ServiceStatus>,
}
