//! What is in a platform's Postgres, read with one query for the roles and one for each service's database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

/// What one tenant has in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantData {
    /// Whether the role exists.
    pub role_exists: bool,
    /// Logins that may act as the tenant.
    pub members: BTreeSet<String>,
    /// Version of the schema, by service.
    pub schemas: BTreeMap<String, i32>,
    /// Services whose schema is registered and gone: nobody erased it by way of the operator.
    pub lost: BTreeSet<String>,
    /// Uid of the `Tenant` whose data it is.
    pub uid: Option<String>,
    /// The company's name, as the `Tenant` last gave it.
    pub display_name: Option<String>,
    /// Since when the data is kept for a deleted tenant.
    pub retained: Option<Timestamp>,
    /// Services that were withdrawn, with the time until when their data is kept.
    pub withdrawn: BTreeMap<String, Timestamp>,
}

/// What is in the database as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// By role.
    pub tenants: HashMap<String, TenantData>,
    /// Version of the published migrations, by service.
    pub published: BTreeMap<String, i32>,
}

impl Survey {
    /// Tenants whose schema is behind the published migrations of a service.
    #[must_use]
    pub fn behind(&self, service: &str) -> Vec<&str> {
        let published = self.published.get(service).copied().unwrap_or_default();
        let mut behind: Vec<_> = self
            .tenants
            .iter()
            .filter(|(_, data)| data.schemas.get(service).is_some_and(|version| *version < published))
            .map(|(role, _)| role.as_str())
            .collect();
        behind.sort_unstable();
        behind
    }

    /// Roles whose data differs between two surveys.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let mut changed: Vec<_> = self
            .tenants
            .iter()
            .filter(|(role, data)| before.tenants.get(*role) != Some(data))
            .map(|(role, _)| role.clone())
            .chain(before.tenants.keys().filter(|role| !self.tenants.contains_key(*role)).cloned())
            .collect();
        changed.sort_unstable();
        changed
    }
}

/// Roles of tenants with the logins that are members of them, and the registry.
pub const ROLES: &str = r#"
    SELECT coalesce(r.rolname, t.role)::text AS role, r.rolname IS NOT NULL AS role_exists,
           coalesce((SELECT array_agg(m.rolname::text) FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
                     WHERE a.roleid = r.oid AND m.rolname ~ '^(svc2?|mig)_'), '{}') AS members,
           t.uid, t.display_name, t.retained::text AS retained,
           coalesce((SELECT jsonb_object_agg(w.service, to_char(w.until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                     FROM easycode.withdrawn w WHERE w.role = t.role), '{}')::text AS withdrawn
    FROM (SELECT oid, rolname FROM pg_roles WHERE rolname LIKE 't\_%') r
    FULL JOIN easycode.tenant t ON t.role = r.rolname"#;

/// Schemas of tenants in a service's database with their versions, and whether a registered one is gone.
pub const SCHEMAS: &str = "
    SELECT s.name, s.version, n.oid IS NULL AS lost
    FROM easycode.tenant_schema s LEFT JOIN pg_namespace n ON n.nspname = s.name";

/// Nothing, by way of some mebibytes of a temporary file on the volume of the data: refused where there is not that much room. Reads
/// alone would not notice that nothing can be written any more. To be sent as one, so that the settings are of this alone.
pub const ROOM: &str = "
    SET LOCAL work_mem = '64kB';
    SET LOCAL temp_tablespaces = '';
    WITH room AS MATERIALIZED (SELECT repeat(md5(n::text), 1024) FROM generate_series(1, 256) n)
    SELECT count(*) FROM room";

/// Version of a service's published migrations.
pub const PUBLISHED: &str = "SELECT coalesce(max(version), 0) FROM easycode.migration";
