//! `Tenant`: a client company, on whichever deployment model.

mod relocation;

use easycode_contract::context::Consent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::relocation::{FormerHome, HomeRef, MovePhase, Relocation};
use crate::{
    names,
    scalars::{self, Duration, Storage},
};

/// A client company of EasyCode, on the shared platform or on a dedicated instance.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "easycode.io",
    version = "v1alpha1",
    kind = "Tenant",
    status = "TenantStatus",
    derive = "PartialEq",
    shortname = "ten",
    category = "easycode",
    doc = "A client company of EasyCode: which services and modules it may use, where it runs, and what becomes of its data.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.deployment.model"),
    printcolumn(name = "Platform", type_ = "string", json_path = ".status.platform"),
    printcolumn(name = "Instance", type_ = "string", json_path = ".status.instance"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: must have at most 40 characters, because the names of database roles and Kubernetes objects are derived from it; choose a shorter name"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: must begin with a letter and consist of lowercase letters, digits and dashes, because the name of a database role is derived from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.deployment.model != 'Dedicated' || has(self.deployment.instance)").message("deployment.instance: name the DedicatedInstance that serves this tenant, or set deployment.model to Shared").field_path(".deployment"),
    validation = Rule::new("has(self.region) == has(oldSelf.region) && (!has(self.region) || self.region == oldSelf.region)").message("region: can't be changed, because the tenant's data lives there; offboard the tenant and onboard it in the other region"),
    validation = Rule::new("(self.dataUse.analytics == 'None' && self.dataUse.aiTraining == 'None') || has(self.dataUse.agreement)").message("dataUse.agreement: name the agreement by which the client consents, or set analytics and aiTraining to None").field_path(".dataUse")
)]
pub struct TenantSpec {
    /// The company's name for people, shown in consoles.
    #[schemars(length(min = 1, max = 120))]
    #[x_kube(validation = Rule::new("self.matches('[^[:space:]]')").message("displayName: must not be blank; give the company's name, such as Aurora Textiles Ltd"))]
    pub display_name: String,
    /// Which deployment model serves the tenant.
    #[serde(default)]
    pub deployment: Deployment,
    /// Region that the tenant's data must stay in, for example `eu-central`. Only platforms of the same region are
    /// considered. Can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::region")]
    pub region: Option<String>,
    /// Services, with modules of them, that EasyCode lets the tenant use. What is not named here is refused in the
    /// API, in the config and in the database.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(e, self.exists_one(f, f.service == e.service))").message("entitlements: a service is named twice; merge its modules into one entry"))]
    pub entitlements: Vec<Entitlement>,
    /// The company's first administrators; user-service invites them. They manage their own users and settings, never
    /// entitlements or the deployment model.
    #[serde(default)]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.email.lowerAscii() == a.email.lowerAscii()))").message("administrators: an email is named twice; remove one of the entries"))]
    pub administrators: Vec<Administrator>,
    /// Bounds against noisy neighbours.
    #[serde(default)]
    pub limits: Limits,
    /// What EasyCode may do with the tenant's data. Nothing, unless an agreement says so.
    #[serde(default)]
    pub data_use: DataUse,
    /// What backups must achieve. Nothing makes backups yet: this records the agreement.
    #[serde(default)]
    pub backup: BackupTerms,
    /// `Suspended` stops all access within a second; the data stays.
    #[serde(default)]
    pub state: State,
    /// What becomes of the data when the tenant is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How long the data of a withdrawn service is kept before it is erased.
    #[serde(default = "default_retention")]
    pub retention: Duration,
}

fn default_retention() -> Duration {
    Duration::from_secs(30 * 86_400)
}

/// Where a tenant runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.model == 'Dedicated' || !has(self.instance)").message("deployment.instance: only a Dedicated tenant has an instance; remove it or set model to Dedicated"),
    validation = Rule::new("self.model == 'Shared' || !has(self.platform)").message("deployment.platform: only a Shared tenant has a platform; remove it or set model to Shared"),
    validation = Rule::new("self.model != oldSelf.model || !has(oldSelf.platform) || (has(self.platform) && self.platform == oldSelf.platform)").message("deployment.platform: can't be changed once set, because the tenant's data is there; name the same platform, or onboard the company as a new tenant on the other"),
    validation = Rule::new("self.model != oldSelf.model || !has(oldSelf.instance) || (has(self.instance) && self.instance == oldSelf.instance)").message("deployment.instance: can't be changed once set, because the tenant's data is there; name the same instance, or onboard the company as a new tenant on the other")
)]
pub struct Deployment {
    /// `Shared`: a schema of its own on a shared platform. `Dedicated`: a whole stack in a namespace of its own. Changing
    /// it moves the tenant with its data.
    #[serde(default)]
    pub model: Model,
    /// Name of the `SharedPlatform`. Without it the operator places the tenant by region and free capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::resource")]
    pub platform: Option<String>,
    /// Name of the `DedicatedInstance` that serves a `Dedicated` tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::resource")]
    pub instance: Option<String>,
    /// For how long at most nothing may be written at the end of a move, from `10s` to `12h`; `5m` without it. A move that needs
    /// longer is given up, before anything is stopped where that can be told. Comparing takes about a minute for 10 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "longest_pause_schema")]
    pub longest_pause: Option<Duration>,
}

fn longest_pause_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    scalars::between(generator, Duration::from_secs(10), Duration::from_secs(12 * 3_600))
}

/// Deployment models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Model {
    #[default]
    /// On a shared platform, isolated by schema and role.
    Shared,
    /// On an instance of its own.
    Dedicated,
}

/// A service that the tenant may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entitlement {
    /// Name of a service of the platform's release, for example `crm`.
    #[schemars(schema_with = "names::service")]
    #[x_kube(validation = Rule::new("self != 'tenant-service' && self != 'user-service'").message("service: every tenant has tenant-service and user-service; name only business services"))]
    pub service: String,
    /// Modules of the service that the tenant may use beside its core, for example `campaigns`.
    #[serde(default)]
    #[schemars(schema_with = "names::modules")]
    pub modules: Vec<String>,
}

/// A person who administers the tenant from within the client company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Administrator {
    /// Address the invitation goes to.
    #[schemars(length(min = 3, max = 254))]
    #[x_kube(validation = Rule::new("self.matches('^[^@,;<>[:space:]]+@[^@,;<>[:space:]]+[.][^@,;<>[:space:]]+$')").message("email: must be an email address such as ada@example.com"))]
    pub email: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 120))]
    pub name: Option<String>,
}

/// Bounds of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Most users the company may have; published to the services, which enforce it where they manage users.
    #[schemars(range(min = 1, max = 100_000))]
    pub users: u32,
    /// Most database connections that one replica of a service uses for the tenant at once.
    #[schemars(range(min = 1, max = 100))]
    pub connections: u32,
    /// Longest database statement, at most `24h`.
    #[schemars(schema_with = "statement_timeout_schema")]
    pub statement_timeout: Duration,
    /// Most storage of the tenant's records in each service: at 80 % answers to writes warn, at 100 % writes but deletions are
    /// refused with 507.
    pub storage: Storage,
    /// Requests a second that one replica of a service accepts from the tenant.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_second: u32,
}

/// Postgres counts milliseconds in 32 bits, and would refuse every request of a tenant with a limit beyond that.
fn statement_timeout_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = Duration::json_schema(generator);
    if let Some(serde_json::Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") {
        rules.push(serde_json::json!({
            "rule": "self.matches('^([0-9]{1,8}ms|[0-9]{1,5}s|[0-9]{1,4}m|[0-9]{1,2}h|1d)$') && (self == '1d' || duration(self) <= duration('24h'))",
            "message": "limits.statementTimeout: must be at most 24h; choose a shorter time such as 30s",
        }));
    }
    schema
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            users: 25,
            connections: 5,
            statement_timeout: Duration::from_secs(30),
            storage: Storage::from_gib(10),
            requests_per_second: 100,
        }
    }
}

/// What EasyCode may do with a tenant's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataUse {
    /// For EasyCode's own analytics: `Pooled` (anonymised, with other consenting tenants), `TenantOnly` or `None`.
    #[schemars(schema_with = "consent_schema")]
    pub analytics: Consent,
    /// For the training of AI models: `Pooled`, `TenantOnly` or `None`.
    #[schemars(schema_with = "consent_schema")]
    pub ai_training: Consent,
    /// Reference of the agreement by which the client consents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub agreement: Option<String>,
}

fn consent_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["Pooled", "TenantOnly", "None"] })
}

/// What backups of a tenant must achieve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupTerms {
    /// Recovery point objective: the most work, in time, that may be lost.
    pub rpo: Duration,
    /// Recovery time objective: the longest until the tenant works again.
    pub rto: Duration,
    /// How long backups are kept.
    pub retention: Duration,
}

impl Default for BackupTerms {
    fn default() -> Self {
        Self {
            rpo: Duration::from_secs(24 * 3600),
            rto: Duration::from_secs(4 * 3600),
            retention: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// Served.
    #[default]
    Active,
    /// Not served; its data stays.
    Suspended,
}

/// What becomes of a deleted tenant's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Access is closed, the data stays in place until someone erases or undeletes it.
    #[default]
    Retain,
    /// A last dump is archived, then the data is erased from the database.
    Archive,
    /// The data is erased at once.
    Delete,
}

/// What was observed of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Progressing`, `Degraded`, `Placed`, `EntitlementsValid`, `DatabaseReady`, `ConfigPublished`,
    /// `IsolationVerified`.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Platform that serves the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Dedicated instance that serves the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Postgres role and schema of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_role: Option<String>,
    /// Where the tenant's people reach the services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// State of the tenant's data, one entry a service.
    #[schemars(length(max = 64))]
    pub services: Vec<ServiceData>,
    /// The move to another home that is under way, or the last one.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub relocation: Option<Relocation>,
    /// Homes that the tenant left, whose copy of its data is kept for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub former_homes: Vec<FormerHome>,
}

/// A tenant's data in one service's database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceData {
    /// Name of the service.
    pub service: String,
    /// Version of the tenant's schema.
    pub schema_version: i32,
    /// Whether the tenant is entitled; if not, the data is kept until `retainedUntil`.
    pub entitled: bool,
    /// When the data of a withdrawn service is erased (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_until: Option<String>,
}
