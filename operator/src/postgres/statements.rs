//! All SQL of roles, databases and grants. Text goes in as [`Identifier`] or as an escaped literal, never otherwise.

use easycode_contract::database::Identifier;

/// A text as a SQL literal. `standard_conforming_strings` is on since Postgres 9.1.
#[must_use]
pub fn literal(text: &str) -> String {
    // Postgres has no NUL in texts, and its protocol ends a statement there.
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// The registry of tenants in the operator's own database.
pub const REGISTRY: &str = "
    CREATE SCHEMA IF NOT EXISTS easycode;
    CREATE TABLE IF NOT EXISTS easycode.tenant (
        role         text PRIMARY KEY,
        uid          text NOT NULL,
        display_name text NOT NULL,
        retained     timestamptz
    );
    CREATE TABLE IF NOT EXISTS easycode.withdrawn (
        role    text NOT NULL REFERENCES easycode.tenant ON DELETE CASCADE,
        service text NOT NULL,
        until   timestamptz NOT NULL,
        PRIMARY KEY (role, service)
    );
    REVOKE ALL ON SCHEMA public FROM PUBLIC;";

/// Makes a login that inherits nothing, and is closed.
#[must_use]
pub fn create_login(login: &Identifier) -> String {
    format!("CREATE ROLE {login} NOLOGIN NOINHERIT")
}

/// Notes something at a role.
#[must_use]
pub fn comment(role: &Identifier, note: &str) -> String {
    format!("COMMENT ON ROLE {role} IS {}", literal(note))
}

/// Opens a login, with a password. `verifier` is a SCRAM verifier, so that the password itself never reaches a log of
/// statements.
#[must_use]
pub fn open_login(login: &Identifier, verifier: &str) -> String {
    format!("ALTER ROLE {login} LOGIN PASSWORD {}", literal(verifier))
}

/// Sets the password of whoever says it.
#[must_use]
pub fn set_own_password(verifier: &str) -> String {
    format!("ALTER ROLE CURRENT_USER PASSWORD {}", literal(verifier))
}

/// Opens the login of a copy until `until`, which may connect to these databases. [`grant`] says as whom it may act.
#[must_use]
pub fn open_copy_login(login: &Identifier, databases: &[Identifier], verifier: &str, until: &str) -> String {
    let databases = databases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "GRANT CONNECT ON DATABASE {databases} TO {login}; ALTER ROLE {login} LOGIN PASSWORD {} VALID UNTIL {}",
        literal(verifier),
        literal(until)
    )
}

/// Lets the login of a copy read a tenant's tables in this database, within a transaction.
#[must_use]
pub fn allow_reading(role: &Identifier, login: &Identifier) -> String {
    format!(
        "SET LOCAL ROLE {role}; GRANT USAGE ON SCHEMA {role} TO {login}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {login}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA {role} TO {login}"
    )
}

/// Undoes what [`allow_reading`] did, within a transaction.
#[must_use]
pub fn stop_reading(role: &Identifier, login: &Identifier) -> String {
    format!(
        "SET LOCAL ROLE {role}; REVOKE ALL ON ALL SEQUENCES IN SCHEMA {role} FROM {login}; \
         REVOKE ALL ON ALL TABLES IN SCHEMA {role} FROM {login}; REVOKE ALL ON SCHEMA {role} FROM {login}"
    )
}

/// Drops the login of a copy with its rights in these databases.
#[must_use]
pub fn drop_copy_login(login: &Identifier, databases: &[Identifier]) -> String {
    let databases = databases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("REVOKE ALL ON DATABASE {databases} FROM {login}; DROP ROLE {login}")
}

/// Ends all sessions of whoever says it but the one that says it. Every login may do that for itself, whatever the server's version.
pub const END_OTHER_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE usename = session_user AND pid <> pg_backend_pid()";

/// Drops all that whoever says it owns in this database.
pub const DROP_OWN_OBJECTS: &str = "DROP OWNED BY SESSION_USER CASCADE";

/// Closes a login.
#[must_use]
pub fn close_login(login: &Identifier) -> String {
    format!("ALTER ROLE {login} NOLOGIN PASSWORD NULL")
}

/// Lets a service's second login act as all those that its first may act as, and connect.
#[must_use]
pub fn stand_in(second: &Identifier, first: &Identifier, database: &Identifier) -> String {
    format!("GRANT {first} TO {second}; GRANT CONNECT ON DATABASE {database} TO {second}")
}

/// Lets nobody but the service and its migrations connect to the service's database.
#[must_use]
pub fn restrict_database(database: &Identifier, service: &Identifier, migration: &Identifier) -> String {
    format!(
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {service}; \
         GRANT CONNECT, CREATE ON DATABASE {database} TO {migration}"
    )
}

/// Lets the migrations use what `SERVICE_DATABASE_SQL` made.
#[must_use]
pub fn grant_registry(migration: &Identifier) -> String {
    format!(
        "GRANT USAGE ON SCHEMA easycode TO {migration}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA easycode TO {migration}; \
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA easycode TO {migration}"
    )
}

/// Makes a tenant's role, if it is not there: Postgres has no `CREATE ROLE IF NOT EXISTS`.
#[must_use]
pub fn create_tenant(role: &Identifier) -> String {
    format!("DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
}

/// Notes whose data a role's is, and that it is in use.
#[must_use]
pub fn register(role: &Identifier, uid: &str, display_name: &str) -> String {
    format!(
        "INSERT INTO easycode.tenant (role, uid, display_name) VALUES ({}, {}, {}) \
         ON CONFLICT (role) DO UPDATE SET uid = excluded.uid, display_name = excluded.display_name, retained = NULL",
        literal(role.as_str()),
        literal(uid),
        literal(display_name)
    )
}

/// Notes that a deleted tenant's data is kept.
#[must_use]
pub fn retain(role: &Identifier) -> String {
    format!("UPDATE easycode.tenant SET retained = now() WHERE role = {}", literal(role.as_str()))
}

/// Forgets a tenant whose data is erased. A role that another tenant's role granted something can't be dropped by anyone
/// but a superuser; it stays as a shell without members.
#[must_use]
pub fn forget(role: &Identifier) -> String {
    let name = literal(role.as_str());
    format!(
        "DELETE FROM easycode.tenant WHERE role = {name};
         DO $$ DECLARE member text; BEGIN
             DROP ROLE IF EXISTS {role};
         EXCEPTION WHEN dependent_objects_still_exist THEN
             -- What it owns is data that was not erased.
             IF EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
                        WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = {name})
             THEN RAISE; END IF;
             FOR member IN SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
                 JOIN pg_roles r ON r.oid = a.roleid WHERE r.rolname = {name} AND m.rolname ~ '^(svc2?|mig)_'
             LOOP EXECUTE format('REVOKE {role} FROM %I', member); END LOOP;
         END $$"
    )
}

/// Lets a login act as the tenant.
#[must_use]
pub fn grant(role: &Identifier, login: &Identifier) -> String {
    format!("GRANT {role} TO {login}")
}

/// Stops a login from acting as the tenant.
#[must_use]
pub fn revoke(role: &Identifier, login: &Identifier) -> String {
    format!("REVOKE {role} FROM {login}")
}

/// Notes until when the data of a withdrawn service is kept.
#[must_use]
pub fn withdraw(role: &Identifier, service: &str, until: &str) -> String {
    format!(
        "INSERT INTO easycode.withdrawn VALUES ({}, {}, {}) ON CONFLICT DO NOTHING",
        literal(role.as_str()),
        literal(service),
        literal(until)
    )
}

/// Notes that a withdrawn service is entitled again, or that its data is gone.
#[must_use]
pub fn end_withdrawal(role: &Identifier, service: &str) -> String {
    format!("DELETE FROM easycode.withdrawn WHERE role = {} AND service = {}", literal(role.as_str()), literal(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_can_not_be_left() {
        assert_eq!(literal("a'; DROP ROLE x; --"), "'a''; DROP ROLE x; --'");
    }
}
