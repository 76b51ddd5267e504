//! What a shared platform and a dedicated instance have in common.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{names, resources, scalars::Storage};

/// An embedded Postgres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedDatabase {
    /// Image with the programs of Postgres 15 or later on its PATH and the user 999.
    #[schemars(schema_with = "names::image")]
    pub image: String,
    /// Size of the volume. Can't be changed.
    pub size: Storage,
    /// Storage class of the volume; the cluster's default without it. Can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub storage_class: Option<String>,
    /// Most connections that Postgres accepts.
    #[schemars(range(min = 50, max = 5_000))]
    pub max_connections: u32,
    /// CPU and memory. Postgres' buffers are tuned to the memory limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources::schema")]
    pub resources: Option<ResourceRequirements>,
}

impl Default for EmbeddedDatabase {
    fn default() -> Self {
        Self {
            image: "postgres:15".into(),
            size: Storage::from_gib(20),
            storage_class: None,
            max_connections: 200,
            resources: None,
        }
    }
}

/// An external Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Secret with `host`, `port`, `user`, `password`, `dbname` and optionally `sslmode` and `ca.crt`. The login needs
    /// CREATEROLE, and CREATEDB or the services' databases made for it; never superuser.
    pub secret_ref: SecretRef,
}

/// A Secret in some namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Namespace of the Secret: the one for databases' Secrets, which is `easycode-databases` unless the chart's
    /// `databaseSecrets.namespace` says otherwise, or the platform's or instance's own.
    #[schemars(schema_with = "names::namespace")]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(schema_with = "names::object")]
    pub name: String,
}

/// Whose tokens the services accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.jwks) != has(self.jwksUri)").message("identity: give the issuer's public keys either as jwks or as jwksUri"))]
pub struct Identity {
    /// Issuer that a token must carry in `iss`.
    #[schemars(length(min = 1, max = 300))]
    pub issuer: String,
    /// The issuer's public keys as a JSON Web Key Set (RFC 7517). Never a private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20_000))]
    #[x_kube(
        validation = Rule::new("self.startsWith('{') && self.matches('\"keys\"[[:space:]]*:')").message("jwks: must be a JSON Web Key Set, such as {\"keys\": [...]}"),
        validation = Rule::new("!self.matches('\"(d|k)\"[[:space:]]*:')").message("jwks: contains a private or symmetric key; give the public keys only, and replace that key, because it was exposed")
    )]
    pub jwks: Option<String>,
    /// Where the issuer publishes its keys. An issuer within the cluster is reached at its Service's port, which must be its pods',
    /// too: that is where networks check who connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^(https://[^/[:space:]]+|http://[a-z0-9.-]+[.]svc([.]cluster[.]local)?(:[0-9]+)?/)[^[:space:]]*$')").message("jwksUri: must be https, or http of a Service within the cluster, such as https://login.example.com/jwks.json"))]
    pub jwks_uri: Option<String>,
    /// Identity providers of companies that are not on the internet, such as one in a client's own network. A company's
    /// administrators may have their people sign in at these beside any that has a public name and TLS; user-service reaches no
    /// other address within. What an issuer tells of itself must be at the same scheme, host and port. A change restarts
    /// user-service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 300)))]
    #[x_kube(validation = Rule::new("self.all(one, one.matches('^(https://[^/[:space:]]+|http://[a-z0-9.-]+[.]svc([.]cluster[.]local)?(:[0-9]+)?)(/[^[:space:]]*)?$'))").message("privateIssuers: each must be https, or http of a Service within the cluster, such as https://login.acme.internal"))]
    pub private_issuers: Vec<String>,
}

/// What was observed of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Name of the service.
    pub service: String,
    /// Image that its Deployment names.
    pub image: String,
    /// Pods that serve.
    pub available: i32,
    /// Pods that should.
    pub replicas: i32,
    /// Version of the migrations published in the service's database.
    pub schema_version: i32,
}

/// Pods of a service that nothing was said of.
pub(crate) fn one() -> i32 {
    1
}

/// Database connections of a pod that nothing was said of.
pub const CONNECTIONS: u32 = 10;

pub(crate) fn ten() -> u32 {
    CONNECTIONS
}
