//! The Postgres of an instance.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    names, resources, scalars,
    scalars::{Duration, Storage},
    stack::{EmbeddedDatabase, ExternalDatabase},
};

/// An instance's Postgres, version 15 or later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.provider == oldSelf.provider",
        "message": "database.provider: can't be changed, because the client's data is in the database; make another instance",
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
    {
        "rule": "self.provider == 'CloudNativePG' || !has(self.cloudNativePG)",
        "message": "database.cloudNativePG: only provider CloudNativePG has it; remove it or set provider to CloudNativePG",
    },
    // Here and not beside the fields, where nothing would see that the settings come or go.
    {
        "rule": "self.provider != oldSelf.provider || (has(self.embedded) ? self.embedded.size : '20Gi') == (has(oldSelf.embedded) ? oldSelf.embedded.size : '20Gi')",
        "message": "database.embedded.size: can't be changed here, because a StatefulSet's volume claims are fixed; expand the claim data-postgres-0 instead",
    },
    {
        "rule": "self.provider != oldSelf.provider || (has(self.embedded) && has(self.embedded.storageClass) ? self.embedded.storageClass : '') == (has(oldSelf.embedded) && has(oldSelf.embedded.storageClass) ? oldSelf.embedded.storageClass : '')",
        "message": "database.embedded.storageClass: can't be changed, because a StatefulSet's volume claims are fixed; make another instance",
    },
    {
        "rule": "self.provider != oldSelf.provider || quantity(has(self.cloudNativePG) ? self.cloudNativePG.size : '20Gi').compareTo(quantity(has(oldSelf.cloudNativePG) ? oldSelf.cloudNativePG.size : '20Gi')) >= 0",
        "message": "database.cloudNativePG.size: can't be reduced, because volumes only grow; name the size of before or a larger one",
    },
    {
        "rule": "self.provider != oldSelf.provider || (has(self.cloudNativePG) && has(self.cloudNativePG.storageClass) ? self.cloudNativePG.storageClass : '') == (has(oldSelf.cloudNativePG) && has(oldSelf.cloudNativePG.storageClass) ? oldSelf.cloudNativePG.storageClass : '')",
        "message": "database.cloudNativePG.storageClass: can't be changed, because the volumes are there already; make another instance",
    },
]))]
pub struct Database {
    /// `Embedded`: the operator runs one Postgres in the instance's namespace. `CloudNativePG`: a replicated cluster of
    /// the CloudNativePG operator, which must be installed. `External`: any Postgres, by Secret.
    pub provider: Provider,
    /// Settings of an embedded Postgres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabase>,
    /// Settings of a CloudNativePG cluster.
    #[serde(rename = "cloudNativePG", skip_serializing_if = "Option::is_none")]
    pub cloud_native_pg: Option<CloudNativePg>,
    /// Where an external Postgres is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
    /// Renews the services' credentials again and again. Without it they are renewed on request only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

impl Default for Database {
    fn default() -> Self {
        Self { provider: Provider::Embedded, embedded: None, cloud_native_pg: None, external: None, rotation: None }
    }
}

/// Who runs the Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// The operator, as a StatefulSet with a persistent volume.
    #[default]
    Embedded,
    /// The CloudNativePG operator.
    #[serde(rename = "CloudNativePG")]
    CloudNativePg,
    /// Someone else.
    External,
}

/// A cluster of CloudNativePG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudNativePg {
    /// Number of Postgres servers: a primary, and replicas of which one takes over when it fails.
    #[schemars(range(min = 1, max = 9))]
    pub instances: i32,
    /// Size of each server's volume. Can only grow, where the storage class allows it.
    pub size: Storage,
    /// Storage class of the volumes; the cluster's default without it. Can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub storage_class: Option<String>,
    /// CPU and memory of each server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::schema")]
    pub resources: Option<ResourceRequirements>,
    /// Image of Postgres 15 or later made for CloudNativePG; that operator's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::image")]
    pub image_name: Option<String>,
}

impl Default for CloudNativePg {
    fn default() -> Self {
        Self { instances: 3, size: Storage::from_gib(20), storage_class: None, resources: None, image_name: None }
    }
}

/// Renewal of credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// How often, from 1h to 365d. The services go over to the new credentials without a restart.
    #[schemars(schema_with = "every_schema")]
    pub every: Duration,
}

fn every_schema(generator: &mut SchemaGenerator) -> Schema {
    scalars::between(generator, Duration::from_secs(3_600), Duration::from_secs(365 * 86_400))
}
