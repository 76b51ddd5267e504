//! What a tenant's move needs of the two databases: writes stopped and let in again, the registration of a copied schema, and
//! fingerprints by which two copies are compared. All of it as the migrations' login, which acts as the tenant. `catch_up` has
//! what is copied once more.

use std::collections::BTreeMap;

use easycode_contract::database::Identifier;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, Transaction, raw_sql};

use super::{Database, Error, statements::literal};

/// Tables that the tenant may still write to.
const WRITABLE: &str = "
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
      AND has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1";

/// Whether the schema has tables that the tenant may not write to.
const CLOSED: &str = "
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.rolname = $1
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
          AND NOT has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))";

/// Tables that hold rows of their own, by the name and as SQL.
const TABLES: &str = "
    SELECT c.relname::text, format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1";

/// Sequences of a schema, by the name and as SQL, with all that `CREATE SEQUENCE` says of them.
const SEQUENCES: &str = "
    SELECT sequencename::text, format('%I.%I', schemaname, sequencename),
        format('%s %s %s %s %s %s', data_type, start_value, min_value, max_value, increment_by, cycle)
    FROM pg_sequences WHERE schemaname = $1 ORDER BY 1";

/// Large objects of a tenant, which no dump of a schema has.
const LARGE_OBJECTS: &str = "SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = $1::regrole";

/// So that two servers write equal rows as equal texts.
pub(super) const NOTATION: &str =
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'iso_8601';
    SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL xmloption = 'content';
    SET LOCAL lc_monetary = 'C'; SET LOCAL statement_timeout = 0";

/// What a copy of a tenant's data of one service is recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Rows and checksum of each table.
    pub tables: BTreeMap<String, (i64, String)>,
    /// Everything else that holds data.
    pub others: BTreeMap<String, String>,
}

impl Fingerprint {
    /// The first thing in which two copies differ, as a clause.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        for name in self.tables.keys().chain(other.tables.keys()) {
            let told = |copy: &Self| match copy.tables.get(name) {
                Some((rows, checksum)) => format!("{rows} rows with checksum {checksum}"),
                None => "no such table".to_owned(),
            };
            if self.tables.get(name) != other.tables.get(name) {
                return Some(format!("table {name} has {} here and {} there", told(self), told(other)));
            }
        }
        let names = self.others.keys().chain(other.others.keys());
        let differs = |name: &&String| self.others.get(*name) != other.others.get(*name);
        names.into_iter().find(differs).map(|name| {
            let told = |copy: &Self| copy.others.get(name).cloned().unwrap_or_else(|| "missing".to_owned());
            format!("{name}: {} here and {} there", told(self), told(other))
        })
    }

    /// Number of rows in all tables.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.tables.values().map(|(rows, _)| rows).sum()
    }
}

impl Database {
    /// Stops writes to a tenant's data of a service for whoever acts as the tenant, once those under way have ended. Repeated,
    /// it does nothing.
    pub async fn freeze(&self, service: &str, role: &Identifier) -> Result<(), Error> {
        let pool = self.service(service)?;
        let writable: Vec<String> = sqlx::query_scalar(WRITABLE).bind(role.as_str()).fetch_all(pool).await?;
        if writable.is_empty() {
            return Ok(());
        }
        let mut transaction = acting(pool, role).await?;
        // Whoever has written holds a lock that this one waits for, and whoever comes later waits for this one.
        let lock = format!("LOCK TABLE {} IN SHARE MODE", writable.join(", "));
        self.write(&mut transaction, &lock).await?;
        let revoke =
            format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {role} FROM {role} CASCADE");
        self.write(&mut transaction, &revoke).await?;
        Ok(transaction.commit().await?)
    }

    /// Lets writes in again, where they were stopped.
    pub async fn thaw(&self, service: &str, role: &Identifier) -> Result<(), Error> {
        let pool = self.service(service)?;
        let closed: bool = sqlx::query_scalar(CLOSED).bind(role.as_str()).fetch_one(pool).await?;
        if !closed {
            return Ok(());
        }
        let mut transaction = acting(pool, role).await?;
        let grant = format!("GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {role} TO {role}");
        self.write(&mut transaction, &grant).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes the version of a schema that was copied here.
    pub async fn register_copy(&self, service: &str, role: &Identifier, version: i32) -> Result<(), Error> {
        let note = format!(
            "INSERT INTO easycode.tenant_schema (name, version) VALUES ({}, {version}) \
             ON CONFLICT (name) DO UPDATE SET version = excluded.version, migrated_at = now()",
            literal(role.as_str())
        );
        self.write(&mut *self.service(service)?.acquire().await?, &note).await
    }

    /// Forgets the version of a schema that is to be copied over: until the copy is complete, nobody may migrate it.
    pub async fn forget_copy(&self, service: &str, role: &Identifier) -> Result<(), Error> {
        let forget = format!("DELETE FROM easycode.tenant_schema WHERE name = {}", literal(role.as_str()));
        self.write(&mut *self.service(service)?.acquire().await?, &forget).await
    }

    /// Makes an empty schema for a copy, whatever an earlier one has left. The copy's own login may not make schemas.
    pub async fn empty_schema(&self, service: &str, role: &Identifier) -> Result<(), Error> {
        let make = format!(
            "SET LOCAL ROLE {role}; DROP SCHEMA IF EXISTS {role} CASCADE; SET LOCAL ROLE NONE; \
             CREATE SCHEMA {role} AUTHORIZATION {role}"
        );
        // Sent together, so that they are one transaction.
        self.write(&mut *self.service(service)?.acquire().await?, &make).await
    }

    /// Counts and sums up a tenant's data of a service.
    pub async fn fingerprint(&self, service: &str, role: &Identifier) -> Result<Fingerprint, Error> {
        let mut transaction = acting(self.service(service)?, role).await?;
        raw_sql(AssertSqlSafe(format!("SET LOCAL search_path = {role}; {NOTATION}")))
            .execute(&mut *transaction)
            .await?;
        let mut fingerprint = Fingerprint::default();
        let tables: Vec<(String, String)> =
            sqlx::query_as(TABLES).bind(role.as_str()).fetch_all(&mut *transaction).await?;
        for (name, table) in tables {
            // A sum does not depend on the order of the rows.
            let sum = format!(
                "SELECT count(*), coalesce(sum(hashtextextended((easycode_row.*)::text, 0)::numeric), 0)::text FROM {table} easycode_row"
            );
            let row = sqlx::query(AssertSqlSafe(sum)).fetch_one(&mut *transaction).await?;
            fingerprint.tables.insert(name, (row.get(0), row.get(1)));
        }
        for Sequence { label, kind, number, given_out, .. } in sequences(&mut transaction, role).await? {
            let next = if given_out { "was the last" } else { "is the next" };
            fingerprint.others.insert(format!("sequence {label}"), format!("{number} {next} of {kind}"));
        }
        Ok(fingerprint)
    }

    /// How many large objects the tenant has in the service's database.
    pub async fn large_objects(&self, service: &str, role: &Identifier) -> Result<i64, Error> {
        Ok(sqlx::query_scalar(LARGE_OBJECTS).bind(role.as_str()).fetch_one(self.service(service)?).await?)
    }

    /// Whether the server answers now.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.admin).await?;
        Ok(())
    }

    async fn write(&self, connection: &mut PgConnection, statement: &str) -> Result<(), Error> {
        self.count_write();
        raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await?;
        Ok(())
    }
}

/// A sequence, and where it stands.
pub(super) struct Sequence {
    /// Its name.
    label: String,
    /// Its name as SQL.
    pub(super) name: String,
    /// What `CREATE SEQUENCE` says of it.
    kind: String,
    /// The number that it stands at.
    pub(super) number: i64,
    /// Whether that was given out.
    pub(super) given_out: bool,
}

/// The sequences of a schema. Where one stands is read from itself: the catalogue's view does not tell where one that was never
/// used begins.
pub(super) async fn sequences(connection: &mut PgConnection, role: &Identifier) -> Result<Vec<Sequence>, Error> {
    let all: Vec<(String, String, String)> =
        sqlx::query_as(SEQUENCES).bind(role.as_str()).fetch_all(&mut *connection).await?;
    let mut sequences = Vec::new();
    for (label, name, kind) in all {
        let query = format!("SELECT last_value, is_called FROM {name}");
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(&mut *connection).await?;
        sequences.push(Sequence { label, name, kind, number: row.get(0), given_out: row.get(1) });
    }
    Ok(sequences)
}

/// A transaction as the tenant.
pub(super) async fn acting(pool: &PgPool, role: &Identifier) -> Result<Transaction<'static, Postgres>, Error> {
    let mut transaction = pool.begin().await?;
    raw_sql(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).execute(&mut *transaction).await?;
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(rows: i64, checksum: &str, sequence: &str) -> Fingerprint {
        Fingerprint {
            tables: [("contact".to_owned(), (rows, checksum.to_owned()))].into(),
            others: [("sequence number".to_owned(), sequence.to_owned())].into(),
        }
    }

    #[test]
    fn copies_differ_by_rows_contents_and_sequences() {
        let one = copy(2, "17", "5");
        assert_eq!(one.difference(&one.clone()), None);
        let names = |other: &Fingerprint, what: &str| one.difference(other).is_some_and(|told| told.contains(what));
        assert!(names(&copy(3, "17", "5"), "contact has 2 rows"));
        assert!(names(&copy(2, "18", "5"), "checksum 18 there"));
        assert!(names(&copy(2, "17", "6"), "sequence number: 5 here and 6 there"));
        assert!(names(&Fingerprint::default(), "no such table there"));
        assert!(Fingerprint::default().difference(&one).is_some_and(|told| told.contains("no such table here")));
    }
}
