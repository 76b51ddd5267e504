//! Sets a Postgres up for a platform: the registry, the services' databases and logins. Idempotent; touches nothing that
//! is as it should be.

use easycode_contract::database::{Identifier, InvalidName, SERVICE_DATABASE_SQL};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, raw_sql};
use tracing::info;

use super::{Error, credentials::Credentials, statements};

/// The logins of one service.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceLogins {
    /// Name of the service.
    pub service: String,
    /// Password of `svc_<service>`.
    pub service_password: String,
    /// Password of `mig_<service>`.
    pub migration_password: String,
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Makes the registry in the operator's own database, and refuses a server that is too old. Returns its version.
pub async fn registry(admin: &PgPool) -> Result<String, Error> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(admin).await?;
    if version < 150_000 {
        return Err(Error::Refused(format!("Postgres 15 or later is needed, this is {}", version / 10_000)));
    }
    let present: bool =
        sqlx::query_scalar("SELECT to_regclass('easycode.withdrawn') IS NOT NULL").fetch_one(admin).await?;
    if !present {
        raw_sql(statements::REGISTRY).execute(admin).await?;
    }
    // Numbered so since Postgres 10.
    Ok(format!("{}.{}", version / 10_000, version % 10_000))
}

/// Makes the database and the logins of a service.
pub async fn service(admin: &PgPool, server: &Credentials, logins: &ServiceLogins) -> Result<(), Error> {
    let database = Identifier::database(&logins.service)?;
    let service = Identifier::service_login(&logins.service)?;
    let migration = Identifier::migration_login(&logins.service)?;

    for (login, password) in [(&service, &logins.service_password), (&migration, &logins.migration_password)] {
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(login.as_str())
            .fetch_one(admin)
            .await?;
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        if !exists {
            info!(login = login.as_str(), "creating login");
            raw_sql(AssertSqlSafe(statements::create_login(login, &verifier))).execute(admin).await?;
        } else if !accepts(server, login, password, &database).await? {
            info!(login = login.as_str(), "setting the password of a login that refused the one in its Secret");
            raw_sql(AssertSqlSafe(statements::set_password(login, &verifier))).execute(admin).await?;
        }
    }

    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database.as_str())
        .fetch_one(admin)
        .await?;
    if !exists {
        info!(database = database.as_str(), "creating database");
        raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(admin).await?;
    }
    let open: bool = sqlx::query_scalar(
        "SELECT NOT has_database_privilege($1, $2, 'CONNECT') OR NOT has_database_privilege($3, $2, 'CREATE')
             OR EXISTS (SELECT FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a WHERE datname = $2 AND a.grantee = 0)",
    )
    .bind(service.as_str())
    .bind(database.as_str())
    .bind(migration.as_str())
    .fetch_one(admin)
    .await?;
    if open {
        raw_sql(AssertSqlSafe(statements::restrict_database(&database, &service, &migration))).execute(admin).await?;
    }

    let options = server.with_login(&server.user, &server.password, database.as_str()).options();
    let mut connection = PgConnection::connect_with(&options).await?;
    let installed: Option<String> =
        sqlx::query_scalar("SELECT obj_description(to_regnamespace('easycode'), 'pg_namespace')")
            .fetch_one(&mut connection)
            .await?;
    let wanted = fingerprint();
    if installed.as_deref() != Some(&wanted) {
        let mut transaction = connection.begin().await?;
        raw_sql(SERVICE_DATABASE_SQL).execute(&mut *transaction).await?;
        raw_sql(AssertSqlSafe(format!(
            "{}; COMMENT ON SCHEMA easycode IS {}",
            statements::grant_registry(&migration),
            statements::literal(&wanted)
        )))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
    }
    connection.close().await?;
    Ok(())
}

/// Whether the login's password is accepted; a database that does not exist yet says nothing against it.
async fn accepts(
    server: &Credentials,
    login: &Identifier,
    password: &str,
    database: &Identifier,
) -> Result<bool, Error> {
    match PgConnection::connect_with(&server.with_login(login.as_str(), password, database.as_str()).options()).await {
        Ok(connection) => {
            connection.close().await?;
            Ok(true)
        }
        // 28P01: wrong password; 28000: wrong in another way. Anything else came after the password was accepted.
        Err(sqlx::Error::Database(error)) => Ok(!matches!(error.code().as_deref(), Some("28P01" | "28000"))),
        Err(error) => Err(error.into()),
    }
}

/// Identifies the version of what is installed in a service's database.
fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(SERVICE_DATABASE_SQL);
    let prefix = u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"));
    format!("Registry of the EasyCode tenancy operator, {prefix:016x}")
}
