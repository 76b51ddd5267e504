//! `DedicatedInstance`: one client's whole stack in a namespace of its own.

mod backup;
mod database;
mod ingress;
mod isolation;
mod placement;
mod services;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    backup::Backup,
    database::{CloudNativePg, Database, Provider, Rotation},
    ingress::{GatewayRef, Ingress, Tls},
    isolation::{ContainerLimits, Egress, Isolation, METADATA_V4, METADATA_V6, Quota},
    placement::{Location, Maintenance, Window},
    services::{Autoscaling, ServiceOverride, Variable},
};
use crate::{
    names,
    stack::{Identity, ServiceStatus},
};

/// One client's whole stack: services, Postgres, ingress, in a namespace of its own.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "easycode.io",
    version = "v1alpha1",
    kind = "DedicatedInstance",
    status = "DedicatedInstanceStatus",
    derive = "PartialEq",
    shortname = "inst",
    category = "easycode",
    doc = "A dedicated installation of the ERP for one client company: its own services, Postgres, domain and namespace, closed to everyone else.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.location.region"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Database", type_ = "string", json_path = ".spec.database.provider"),
    printcolumn(name = "Last-Backup", type_ = "date", json_path = ".status.lastBackup"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.namespace", priority = 1),
    printcolumn(name = "Release", type_ = "string", json_path = ".status.release", priority = 1),
    printcolumn(name = "Channel", type_ = "string", json_path = ".spec.release.channel", priority = 1),
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
    validation = Rule::new("self.tenantRef.name == oldSelf.tenantRef.name").message("tenantRef.name: can't be changed, because the client's data is here; make another instance for the other tenant"),
    validation = Rule::new("self.location.region == oldSelf.location.region").message("location.region: can't be changed, because the client's data lives there; make another instance in the other region"),
    validation = Rule::new("!has(self.backup) || (has(self.database) && has(self.database.provider) && self.database.provider == 'CloudNativePG')").message("backup: is made by CloudNativePG alone; set database.provider to CloudNativePG, or take backup out and back the database up by its own means")
)]
pub struct DedicatedInstanceSpec {
    /// The one tenant that the instance serves. Can't be changed.
    pub tenant_ref: TenantRef,
    /// Which release the instance runs.
    pub release: ReleaseRef,
    /// When the instance may be changed.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// Where the instance runs.
    pub location: Location,
    /// Whose tokens the services accept.
    pub identity: Identity,
    /// The instance's Postgres.
    #[serde(default)]
    pub database: Database,
    /// Continuous backups to an object store: a base backup at once and each night at three, and all changes in between. By provider
    /// `CloudNativePG` alone; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// How the services are reached from outside. Without it they are reached within the cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Bounds of the namespace. Whatever is said here, nothing from outside but the ingress controller may connect to
    /// the services, and they may connect only to each other, their database, where their issuer publishes its keys, and the addresses of
    /// `egress`; tenant-service and user-service to the API server, and user-service to companies' identity providers.
    #[serde(default)]
    pub isolation: Isolation,
    /// What is peculiar to single services; what is not named has one replica and modest resources.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(s, self.exists_one(t, t.name == s.name))").message("services: a service is named twice; merge the entries"))]
    pub services: Vec<ServiceOverride>,
}

/// The tenant of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantRef {
    /// Name of the `Tenant`. It is served once its `deployment` is `Dedicated` and names this instance.
    #[schemars(schema_with = "names::tenant")]
    pub name: String,
}

/// The release of an instance: of a channel, or of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.channel) != has(self.version)").message("release: name either a channel to follow, or a version to stay on; in a patch, set the other to null"))]
pub struct ReleaseRef {
    /// Name of a `ReleaseChannel`, such as `stable`: the instance follows the versions that it offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::resource")]
    pub channel: Option<String>,
    /// Version of a `Release`, such as `2026.11.0`: a pin, which stays until it is changed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::version")]
    pub version: Option<String>,
}

/// What was observed of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DedicatedInstanceStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Progressing`, `Degraded`, `TenantBound`, `Scheduled`, `DatabaseReady`, `Migrated`,
    /// `ServicesAvailable`, `IsolationVerified`, `UpdatePending`.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Namespace of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Tenant that the instance serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Name of the release that all workloads run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Version of that release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the client's people reach the services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The instance's Postgres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,
    /// When the last backup was completed (RFC 3339), as CloudNativePG tells it; of other databases nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<String>,
    /// When the services' credentials for the database were last rotated (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_rotated_at: Option<String>,
    /// One entry a service.
    #[schemars(length(max = 64))]
    pub services: Vec<ServiceStatus>,
    /// What differs from the standard, a sentence each, such as an image of the client's own.
    #[schemars(length(max = 64))]
    pub deviations: Vec<String>,
}

/// What was observed of an instance's Postgres.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseStatus {
    /// Who runs it.
    pub provider: Provider,
    /// Version that Postgres itself tells, for example `15.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it answers and is set up.
    pub ready: bool,
}
