//! The layout of a shared Postgres: one database a service, one schema and one role a tenant.
//!
//! | role | login | may |
//! | --- | --- | --- |
//! | `t_<tenant>` | no | owns the tenant's schema in each service's database |
//! | `svc_<service>` | yes, NOINHERIT | `SET ROLE` to the tenants entitled to the service; nothing by itself |
//! | `svc2_<service>` | in turn with `svc_<service>`, NOINHERIT | what `svc_<service>` may, as its member |
//! | `mig_<service>` | yes, NOINHERIT | create and migrate the schemas of the service's database |
//! | `copy_<tenant>` | while a move copies the tenant, NOINHERIT | `SET ROLE` to that tenant alone |
//!
//! Identifiers reach SQL only through [`Identifier`], which allows nothing that needs escaping.

use std::fmt;

/// SQL that makes a fresh database into a service's: the registry of migrations and of tenants' schemas, and the
/// function that brings one tenant's schema up to date.
pub const SERVICE_DATABASE_SQL: &str = include_str!("service_database.sql");

/// Longest name of a tenant: `t_` and the name stay within Postgres' 63 bytes, and names of objects derived from it
/// within Kubernetes' 63.
pub const MAX_TENANT_NAME: usize = 40;

/// A name that is safe as an unquoted SQL identifier: `[a-z_][a-z0-9_]*`, at most 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(String);

/// Why a name is no identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a name of lowercase letters, digits and dashes that begins with a letter and has at most {MAX_TENANT_NAME} characters"
)]
pub struct InvalidName(String);

impl Identifier {
    /// Role and schema of a tenant. Injective, since names of tenants contain no underscore.
    pub fn tenant(tenant: &str) -> Result<Self, InvalidName> {
        Ok(Self(format!("t_{}", checked(tenant)?)))
    }

    /// The role a service logs in as.
    pub fn service_login(service: &str) -> Result<Self, InvalidName> {
        Ok(Self(format!("svc_{}", checked(service)?)))
    }

    /// The login that takes turns with [`Identifier::service_login`] when credentials are renewed. No service's own login
    /// begins like it.
    pub fn second_service_login(service: &str) -> Result<Self, InvalidName> {
        Ok(Self(format!("svc2_{}", checked(service)?)))
    }

    /// The role a service's migrations log in as.
    pub fn migration_login(service: &str) -> Result<Self, InvalidName> {
        Ok(Self(format!("mig_{}", checked(service)?)))
    }

    /// The login of the Job that copies a tenant from or to a server, which may act as that tenant alone.
    pub fn copy_login(tenant: &str) -> Result<Self, InvalidName> {
        Ok(Self(format!("copy_{}", checked(tenant)?)))
    }

    /// The database of a service.
    pub fn database(service: &str) -> Result<Self, InvalidName> {
        Ok(Self(checked(service)?))
    }

    /// The bare identifier, which needs no quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    /// Writes the identifier in double quotes, ready for SQL: some service names are reserved words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

fn checked(name: &str) -> Result<String, InvalidName> {
    let valid = name.len() <= MAX_TENANT_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid { Ok(name.replace('-', "_")) } else { Err(InvalidName(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_would_need_escaping() {
        for bad in ["", "A", "a_b", "1a", "a\"; drop role x; --", "ä", "a b", &"a".repeat(41)] {
            assert!(Identifier::tenant(bad).is_err(), "{bad:?} passed");
        }
    }

    proptest! {
        #[test]
        fn tenants_never_collide(a in "[a-z][a-z0-9-]{0,39}", b in "[a-z][a-z0-9-]{0,39}") {
            let (x, y) = (Identifier::tenant(&a).unwrap(), Identifier::tenant(&b).unwrap());
            prop_assert_eq!(a == b, x == y);
            prop_assert!(x.as_str().len() <= 63);
        }
    }
}
