//! The tenant context: what a service must know of a tenant at run time.
//!
//! The operator derives it from the `Tenant` and writes it to `ConfigMap tenant-<name>` under
//! [`crate::runtime::CONTEXT_KEY`]; tenant-service adds the tenant's own settings and serves it to the services.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The reconciled config of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantContext {
    /// Name of the tenant, as in the `Tenant` resource and in tokens.
    pub tenant: String,
    /// Uid of the `Tenant`. One that is made again under the same name has another; what was given to the people of the one before
    /// does not count for it. Empty by an operator that does not tell it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// When the `Tenant` was created, in seconds since 1970. No token that was issued before counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// The company's name for people.
    pub display_name: String,
    /// Generation of the `Tenant` that this was derived from. It begins anew with a `Tenant` that was put back and took its
    /// data over, so it tells which version is in force, not which of two is the newer.
    pub generation: i64,
    /// Whether the tenant may be served at all.
    pub state: TenantState,
    /// Whether the tenant's data may only be read for now, since it is being moved. A field and no third state: a service of
    /// a release that does not know it serves on, and what it writes is refused by the database.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Entitled services with the entitled modules of each.
    pub entitlements: BTreeMap<String, BTreeSet<String>>,
    /// The company's first administrators, for user-service alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub administrators: Vec<FirstAdministrator>,
    /// Bounds that services enforce.
    pub limits: ContextLimits,
    /// What EasyCode may do with the tenant's data.
    pub data_use: DataUse,
    /// Postgres role and schema of the tenant, the same in each service's database.
    pub database_role: String,
    /// Version of the release the platform or instance runs.
    pub release: String,
    /// Settings made by the tenant's administrators, by service (`ui` holds those of no single service). The operator
    /// leaves this empty; tenant-service fills it.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
}

impl TenantContext {
    /// Whether the tenant may use the service now.
    #[must_use]
    pub fn allows(&self, service: &str) -> bool {
        self.state == TenantState::Active && self.entitlements.contains_key(service)
    }

    /// Whether the tenant may use the module of the service now.
    #[must_use]
    pub fn allows_module(&self, service: &str, module: &str) -> bool {
        self.state == TenantState::Active
            && self.entitlements.get(service).is_some_and(|modules| modules.contains(module))
    }

    /// Strong entity tag of the document: equal documents have equal tags.
    ///
    /// # Panics
    /// Never: the document always serializes.
    #[must_use]
    pub fn etag(&self) -> String {
        let json = serde_json::to_vec(self).expect("a context has only string keys");
        let digest = Sha256::digest(json);
        let prefix = u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 digest has 32 bytes"));
        format!("\"{prefix:032x}\"")
    }
}

/// A person whom EasyCode's staff name as one who may administer the company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FirstAdministrator {
    /// Address the invitation goes to.
    pub email: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TenantState {
    /// Served.
    Active,
    /// Not served; its data stays.
    Suspended,
}

/// Bounds of one tenant, enforced by the services and, where it can, by Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextLimits {
    /// Most users the tenant may have.
    pub users: u32,
    /// Most database connections one replica of a service uses for the tenant at once.
    pub connections: u32,
    /// Longest statement, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Most bytes of the tenant's records in each service.
    pub storage_bytes: u64,
    /// Requests a second that one replica of a service accepts from the tenant.
    pub requests_per_second: u32,
}

/// What EasyCode may do with a tenant's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataUse {
    /// For EasyCode's own analytics.
    pub analytics: Consent,
    /// For the training of models.
    pub ai_training: Consent,
}

/// How far a consent reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Consent {
    /// Anonymised and pooled with other consenting tenants.
    Pooled,
    /// For this tenant only.
    TenantOnly,
    /// Not at all.
    #[default]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_is_told_only_while_it_is_so() {
        let document = serde_json::json!({
            "tenant": "acme", "displayName": "Acme", "generation": 1, "state": "Active", "entitlements": {},
            "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
            "dataUse": { "analytics": "None", "aiTraining": "None" }, "databaseRole": "t_acme", "release": "1", "settings": {},
        });
        let mut context: TenantContext = serde_json::from_value(document.clone()).unwrap();
        assert!(!context.read_only);
        assert_eq!(serde_json::to_value(&context).unwrap(), document, "those who don't know the field see no change");
        context.read_only = true;
        assert_eq!(serde_json::to_value(&context).unwrap()["readOnly"], true);
    }
}
