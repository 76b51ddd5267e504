//! What tenants have in a platform's Postgres, read as the superuser and not by the operator's own eyes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Deserialize;

use crate::{platform::Platform, tenant::TestTenant};

/// What one role has; nothing of it is there by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Holdings {
    /// Whether there is a role.
    pub role: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Services' and migrations' logins that may act as it.
    pub members: BTreeSet<String>,
    /// Rows of the registry: whose data it is, and whether it is only retained.
    pub registered: Vec<(String, bool)>,
    /// Services that were withdrawn.
    pub withdrawn: BTreeSet<String>,
    /// By database.
    #[serde(skip)]
    pub schemas: BTreeMap<String, Schema>,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Schema {
    /// Who owns it; `None` if it is only registered.
    pub owner: Option<String>,
    /// Its registered version; `None` if it is not registered.
    pub version: Option<i32>,
    /// Its tables, all of the same owner.
    pub tables: BTreeSet<String>,
}

const ROLES: &str = r"
    SELECT coalesce(jsonb_object_agg(name, jsonb_build_object(
        'role', r.oid IS NOT NULL, 'login', coalesce(r.rolcanlogin, false),
        'members', (SELECT coalesce(jsonb_agg(m.rolname), '[]') FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
                    WHERE a.roleid = r.oid AND m.rolname <> 'easycode_operator'),
        'registered', (SELECT coalesce(jsonb_agg(jsonb_build_array(uid, retained IS NOT NULL)), '[]') FROM easycode.tenant WHERE role = name),
        'withdrawn', (SELECT coalesce(jsonb_agg(service), '[]') FROM easycode.withdrawn WHERE role = name))), '{}')
    FROM (SELECT rolname AS name FROM pg_roles WHERE rolname LIKE 't\_%' UNION SELECT role FROM easycode.tenant) names
    LEFT JOIN pg_roles r ON r.rolname = name";

const SCHEMAS: &str = r"
    SELECT coalesce(jsonb_object_agg(name, jsonb_build_object(
        'owner', (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = name),
        'version', (SELECT version FROM easycode.tenant_schema s WHERE s.name = names.name),
        'tables', (SELECT coalesce(jsonb_agg(tablename), '[]') FROM pg_tables WHERE schemaname = names.name AND tableowner = names.name))), '{}')
    FROM (SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 't\_%' UNION SELECT s.name FROM easycode.tenant_schema s) names";

const DATABASES: &str =
    "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', 'easycode')";

/// What everyone has, by role or schema.
pub async fn of_all(platform: &Platform) -> anyhow::Result<BTreeMap<String, Holdings>> {
    let roles = platform.sql("easycode", ROLES).await?;
    let mut all: BTreeMap<String, Holdings> = serde_json::from_str(&roles).context("roles")?;
    for database in platform.sql("postgres", DATABASES).await?.lines() {
        let schemas: BTreeMap<String, Schema> = serde_json::from_str(&platform.sql(database, SCHEMAS).await?)?;
        for (name, schema) in schemas {
            all.entry(name).or_default().schemas.insert(database.to_owned(), schema);
        }
    }
    Ok(all)
}

impl TestTenant {
    /// What it has.
    pub async fn holdings(&self) -> anyhow::Result<Holdings> {
        Ok(of_all(&self.platform).await?.remove(&self.role()).unwrap_or_default())
    }

    /// What it should have if it has used every service that `model` has, and may use these now.
    pub async fn planned(&self, entitled: &[&str], model: &Holdings) -> anyhow::Result<Holdings> {
        let uid = self.get().await?.metadata.uid.context("a tenant without uid")?;
        let mut planned = Holdings { role: true, registered: vec![(uid, false)], ..Holdings::default() };
        for (database, schema) in &model.schemas {
            let service = database.replace('_', "-");
            planned.members.insert(format!("mig_{database}"));
            if entitled.contains(&service.as_str()) {
                planned.members.insert(format!("svc_{database}"));
            } else {
                planned.withdrawn.insert(service);
            }
            planned.schemas.insert(database.clone(), Schema { owner: Some(self.role()), ..schema.clone() });
        }
        Ok(planned)
    }
}
