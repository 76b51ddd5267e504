//! `Release`: an immutable set of image, modules and schema version per service.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names;

/// An immutable release of the ERP's services.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "easycode.io",
    version = "v1alpha1",
    kind = "Release",
    status = "ReleaseStatus",
    derive = "PartialEq",
    shortname = "rel",
    category = "easycode",
    doc = "A release of the ERP: image, modules and schema version of every service. Can't be changed once made.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Used-By", type_ = "integer", json_path = ".status.platforms"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: must have at most 40 characters; choose a shorter name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec: a release can't be changed; make a new Release with another version and point the platform, or the channel, at it"))]
pub struct ReleaseSpec {
    /// Version of the release, for example `2026.11.0`.
    #[schemars(schema_with = "names::version")]
    pub version: String,
    /// The services of the release; `tenant-service` must be among them.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self.exists(s, s.name == 'tenant-service')").message("services: tenant-service is missing; every platform needs it"),
        validation = Rule::new("self.all(s, self.exists_one(t, t.name == s.name))").message("services: a service is named twice; remove one of the entries")
    )]
    pub services: Vec<ReleasedService>,
}

/// One service of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedService {
    /// Name of the service, for example `crm`.
    #[schemars(schema_with = "names::service")]
    // Names that objects and databases of the platform itself have.
    #[x_kube(validation = Rule::new("!(self in ['default', 'easycode', 'postgres', 'template0', 'template1', 'tenant'])").message("name: is used by the platform itself; choose another name for the service"))]
    pub name: String,
    /// Image of the service. A tag that never moves, or a digest.
    #[schemars(schema_with = "names::image")]
    pub image: String,
    /// Modules of the service that can be entitled separately.
    #[serde(default)]
    #[schemars(schema_with = "names::modules")]
    pub modules: Vec<String>,
    /// Version that the service's migrations bring a schema to.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub schema_version: i32,
}

/// What was observed of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: some platform may use it.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// How many platforms and instances run it, or are to run it.
    pub platforms: i32,
}
