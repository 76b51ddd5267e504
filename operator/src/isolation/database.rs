//! Tries to get at tenants' data as the services' own logins: without a role, with the wrong one, and with one that was not
//! granted. Reads nothing but what it must not, and writes nothing.

use easycode_contract::{database::Identifier, probe::ProbeReport};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};

use crate::postgres::{Database, Error};

/// Most tenants of a home whose schemas are attacked one by one at a turn; what grants say is looked at for all.
const SAMPLE: usize = 20;

/// Schemas and tables that another role than their owner may use. A tenant's schema is its own alone, but for the login that copies it.
const FOREIGN_GRANTS: &str = r"
    SELECT 'schema ' || n.nspname || ' is open to ' || coalesce(r.rolname, 'everyone') AS breach
    FROM pg_namespace n, aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE n.nspname LIKE 't\_%' AND a.grantee <> n.nspowner AND coalesce(r.rolname, '') <> 'copy_' || substr(n.nspname, 3)
    UNION ALL
    SELECT 'table ' || n.nspname || '.' || c.relname || ' is open to ' || coalesce(r.rolname, 'everyone')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE n.nspname LIKE 't\_%' AND a.grantee <> c.relowner AND coalesce(r.rolname, '') <> 'copy_' || substr(n.nspname, 3)
    LIMIT 10";

/// One table of each tenant's schema.
const TABLES: &str = r"
    SELECT DISTINCT ON (n.nspname) n.nspname::text AS schema, c.relname::text AS relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = ANY($1) ORDER BY n.nspname, c.relname";

/// Attacks every service's database.
pub async fn attempt(database: &Database, tenants: &[String]) -> Result<ProbeReport, Error> {
    let mut report = ProbeReport::default();
    let roles: Vec<_> = tenants.iter().filter_map(|tenant| Identifier::tenant(tenant).ok()).collect();
    for service in database.services() {
        let Some(login) = database.login_of(service) else { continue };
        let mut connection = PgConnection::connect_with(&login).await?;
        let acting: Vec<bool> = member_of(&mut connection, &roles).await?;
        attack(&mut connection, service, &roles, &acting, &mut report).await?;
        connection.close().await?;
    }
    Ok(report)
}

/// Of which of the roles the login is a member.
async fn member_of(connection: &mut PgConnection, roles: &[Identifier]) -> Result<Vec<bool>, Error> {
    let names: Vec<_> = roles.iter().map(Identifier::as_str).collect();
    let query = "SELECT coalesce(pg_has_role(session_user, r.oid, 'MEMBER'), false) AS member
        FROM unnest($1::text[]) WITH ORDINALITY w(name, at) LEFT JOIN pg_roles r ON r.rolname = w.name ORDER BY w.at";
    let rows = sqlx::query(query).bind(names).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.get("member")).collect())
}

async fn attack(
    connection: &mut PgConnection,
    service: &str,
    roles: &[Identifier],
    acting: &[bool],
    report: &mut ProbeReport,
) -> Result<(), Error> {
    report.attempts += 1;
    for row in sqlx::query(FOREIGN_GRANTS).fetch_all(&mut *connection).await? {
        report.breaches.push(format!("in the database of {service}: {}", row.get::<String, _>("breach")));
    }
    let sample: Vec<_> = roles.iter().zip(acting).take(SAMPLE).collect();
    let names: Vec<_> = sample.iter().map(|(role, _)| role.as_str()).collect();
    let tables = sqlx::query(TABLES).bind(names).fetch_all(&mut *connection).await?;
    for row in &tables {
        let (schema, relation): (String, String) = (row.get("schema"), row.get("relation"));
        let table = format!("\"{schema}\".\"{}\"", relation.replace('"', "\"\""));
        let read = format!("SELECT 1 FROM {table} LIMIT 1");
        try_out(connection, &read, &format!("{service} reads {table} without a role"), report).await?;
        // The next one that it may act as, and whose table this is not.
        let other = sample.iter().find(|(role, member)| **member && role.as_str() != schema);
        if let Some((other, _)) = other {
            let read = format!("SET LOCAL ROLE {other}; {read}");
            try_out(connection, &read, &format!("{service} reads {table} as {other}"), report).await?;
        }
    }
    for (role, _) in sample.iter().filter(|(_, member)| !**member) {
        let act = format!("SET LOCAL ROLE {role}; SELECT 1");
        try_out(connection, &act, &format!("{service} acts as {role}, which was not granted"), report).await?;
    }
    Ok(())
}

/// Expects that the statement is refused.
async fn try_out(
    connection: &mut PgConnection,
    statement: &str,
    breach: &str,
    report: &mut ProbeReport,
) -> Result<(), Error> {
    report.attempts += 1;
    let text = format!("BEGIN READ ONLY; {statement}; ROLLBACK");
    match raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await {
        Ok(_) => report.breaches.push(breach.to_owned()),
        Err(sqlx::Error::Database(error)) => {
            raw_sql("ROLLBACK").execute(&mut *connection).await?;
            // 42501: no privilege; 22023 or 42704: there is no such role. Anything else says nothing about isolation.
            if !matches!(error.code().as_deref(), Some("42501" | "22023" | "42704")) {
                report.untried.push(format!("{breach}: {}", error.message()));
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
