//! Sets a Postgres up for a platform: the registry, the services' databases and logins. Idempotent; touches nothing that
//! is as it should be.

use easycode_contract::database::{Identifier, InvalidName, SERVICE_DATABASE_SQL};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, raw_sql};
use tracing::info;

use super::{Error, audit, credentials::Credentials, statements};

/// The logins of one service.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceLogins {
    /// Name of the service.
    pub service: String,
    /// The one of its two logins that is in use: `svc_<service>` or `svc2_<service>`.
    pub login: Identifier,
    /// Password of that.
    pub service_password: String,
    /// Password of `mig_<service>`.
    pub migration_password: String,
}

impl ServiceLogins {
    /// How the service logs in.
    pub fn serving(&self, server: &Credentials) -> Result<Credentials, InvalidName> {
        let database = Identifier::database(&self.service)?;
        Ok(server.with_login(self.login.as_str(), &self.service_password, database.as_str()))
    }

    /// How its migrations log in.
    pub fn migrating(&self, server: &Credentials) -> Result<Credentials, InvalidName> {
        let (login, database) = (Identifier::migration_login(&self.service)?, Identifier::database(&self.service)?);
        Ok(server.with_login(login.as_str(), &self.migration_password, database.as_str()))
    }

    /// The one of its two logins that is not in use.
    pub fn other(&self) -> Result<Identifier, InvalidName> {
        let first = Identifier::service_login(&self.service)?;
        if self.login == first { Identifier::second_service_login(&self.service) } else { Ok(first) }
    }
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
    let sql = format!("{}; {}", statements::REGISTRY, audit::TABLE);
    let wanted = fingerprint(&sql);
    let mut connection = admin.acquire().await?;
    if installed(&mut connection).await?.as_deref() != Some(&wanted) {
        install(&mut connection, &sql, &wanted).await?;
    }
    // Numbered so since Postgres 10.
    Ok(format!("{}.{}", version / 10_000, version % 10_000))
}

/// Makes the database and the logins of a service, for the platform or the instance that `owner` names.
pub async fn service(admin: &PgPool, server: &Credentials, logins: &ServiceLogins, owner: &str) -> Result<(), Error> {
    let database = Identifier::database(&logins.service)?;
    let service = Identifier::service_login(&logins.service)?;
    let migration = Identifier::migration_login(&logins.service)?;

    // The first one even while the second is in use: tenants' roles are granted to it.
    let fresh = create_missing(admin, &service).await?;
    claim(admin, &service, owner).await?;
    for (login, password) in [(&logins.login, &logins.service_password), (&migration, &logins.migration_password)] {
        let fresh = fresh && *login == service || create_missing(admin, login).await?;
        if fresh || !accepts(server, login, password, &database).await? {
            info!(login = login.as_str(), "setting the password of a login to the one in its Secret");
            raw_sql(AssertSqlSafe(statements::open_login(login, &verifier(password)))).execute(admin).await?;
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
    if logins.login != service && !stands_in(admin, &logins.login, &service, &database).await? {
        raw_sql(AssertSqlSafe(statements::stand_in(&logins.login, &service, &database))).execute(admin).await?;
    }

    let options = server.with_login(&server.user, &server.password, database.as_str()).options();
    let mut connection = PgConnection::connect_with(&options).await?;
    let wanted = fingerprint(SERVICE_DATABASE_SQL);
    if installed(&mut connection).await?.as_deref() != Some(&wanted) {
        let sql = format!("{SERVICE_DATABASE_SQL}; {}", statements::grant_registry(&migration));
        install(&mut connection, &sql, &wanted).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Opens the login of the service that is not in use, as `next`, and makes sure that it can be used.
pub async fn open(admin: &PgPool, server: &Credentials, next: &ServiceLogins) -> Result<(), Error> {
    let (first, database) = (Identifier::service_login(&next.service)?, Identifier::database(&next.service)?);
    create_missing(admin, &next.login).await?;
    if next.login != first {
        raw_sql(AssertSqlSafe(statements::stand_in(&next.login, &first, &database))).execute(admin).await?;
    }
    renew(admin, &next.login, &next.service_password).await?;
    let session = PgConnection::connect_with(&next.serving(server)?.options()).await?;
    session.close().await?;
    Ok(())
}

/// Opens a login with a new password. Sessions that it has go on.
pub async fn renew(admin: &PgPool, login: &Identifier, password: &str) -> Result<(), Error> {
    raw_sql(AssertSqlSafe(statements::open_login(login, &verifier(password)))).execute(admin).await?;
    Ok(())
}

/// Sets the password of the login that `admin` itself is.
pub async fn renew_own(admin: &PgPool, password: &str) -> Result<(), Error> {
    raw_sql(AssertSqlSafe(statements::set_own_password(&verifier(password)))).execute(admin).await?;
    Ok(())
}

/// Lets nobody log in as the login any more. Sessions that it has are not ended.
pub async fn close(admin: &PgPool, login: &Identifier) -> Result<(), Error> {
    raw_sql(AssertSqlSafe(statements::close_login(login))).execute(admin).await?;
    Ok(())
}

/// Number of sessions of the login, if it is open.
pub async fn sessions_if_open(admin: &PgPool, login: &Identifier) -> Result<Option<i64>, Error> {
    let sessions = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname) FROM pg_roles
         WHERE rolname = $1 AND rolcanlogin",
    )
    .bind(login.as_str())
    .fetch_optional(admin)
    .await?;
    Ok(sessions)
}

/// Whether a service's second login may do what the first may.
async fn stands_in(
    admin: &PgPool,
    second: &Identifier,
    first: &Identifier,
    database: &Identifier,
) -> Result<bool, Error> {
    let asked =
        sqlx::query_scalar("SELECT pg_has_role($1, $2, 'MEMBER') AND has_database_privilege($1, $3, 'CONNECT')");
    Ok(asked.bind(second.as_str()).bind(first.as_str()).bind(database.as_str()).fetch_one(admin).await?)
}

/// Notes at the login whose it is, and refuses that of another: names are the same everywhere, so two homes on one server would set
/// each other's passwords, and take each other's data for their own.
async fn claim(admin: &PgPool, login: &Identifier, owner: &str) -> Result<(), Error> {
    let noted = sqlx::query_scalar("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1");
    let noted: Option<String> = noted.bind(login.as_str()).fetch_one(admin).await?;
    let note = format!("of EasyCode's {owner}");
    match noted {
        Some(noted) if noted == note => Ok(()),
        Some(noted) if noted.starts_with("of EasyCode's ") => Err(Error::Refused(format!(
            "the server's login {login} is {noted}, and this is {owner}; each needs a Postgres of its own. If the other is gone and its data is to be taken over, say COMMENT ON ROLE {login} IS NULL there"
        ))),
        _ => {
            raw_sql(AssertSqlSafe(statements::comment(login, &note))).execute(admin).await?;
            Ok(())
        }
    }
}

/// Makes a login that does not exist, closed. Returns whether it did.
pub(super) async fn create_missing(admin: &PgPool, login: &Identifier) -> Result<bool, Error> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)");
    let exists: bool = found.bind(login.as_str()).fetch_one(admin).await?;
    if !exists {
        info!(login = login.as_str(), "creating login");
        raw_sql(AssertSqlSafe(statements::create_login(login))).execute(admin).await?;
    }
    Ok(!exists)
}

/// What Postgres keeps of a password, so that the password itself never reaches a log of statements.
pub(super) fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
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

/// What is installed in a database's schema `easycode`, by its fingerprint.
async fn installed(connection: &mut PgConnection) -> Result<Option<String>, Error> {
    let comment = sqlx::query_scalar("SELECT obj_description(to_regnamespace('easycode'), 'pg_namespace')");
    Ok(comment.fetch_one(connection).await?)
}

/// Runs the SQL, and notes by its fingerprint that it was run.
async fn install(connection: &mut PgConnection, sql: &str, fingerprint: &str) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    let marked = format!("{sql}; COMMENT ON SCHEMA easycode IS {}", statements::literal(fingerprint));
    raw_sql(AssertSqlSafe(marked)).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Identifies the version of what is installed in a database.
fn fingerprint(sql: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(sql);
    let prefix = u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"));
    format!("Registry of the EasyCode tenancy operator, {prefix:016x}")
}
