//! The login of the Job that copies a tenant: one for each copy and server, which reads or writes that tenant's data alone. It exists while
//! the tenant is being copied; its name tells whose it is, so that one that a crash has left is found and dropped.

use std::{collections::BTreeSet, time::Duration};

use easycode_contract::database::{Identifier, InvalidName};
use futures::future::try_join_all;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tracing::info;

use super::{
    Database, Error,
    credentials::{self, Credentials},
    setup,
    statements::{self, DROP_OWN_OBJECTS, END_OTHER_SESSIONS},
};

/// How long such a login can be used, should nobody drop it: longer than its Job may take.
const LIFETIME: Duration = Duration::from_hours(7);

/// Which end of a copy a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopySide {
    /// It reads the tenant's tables, and owns nothing there: tenants are served from them while the copy runs, so what it planted
    /// would be run by the services' logins.
    Source,
    /// It acts as the tenant, whose schema it fills. Nothing is served from that before its structure was compared.
    Target,
}

impl Database {
    /// Opens the copy login of a tenant with a new password for the services' databases. Returns the credentials by service. Of an
    /// earlier one nothing is left.
    pub async fn open_copy_login(
        &self,
        tenant: &str,
        services: &[String],
        side: CopySide,
    ) -> Result<Vec<(String, Credentials)>, Error> {
        self.drop_copy_login(tenant).await?;
        let (login, role) = (Identifier::copy_login(tenant)?, Identifier::tenant(tenant)?);
        setup::create_missing(&self.admin, &login).await?;
        match side {
            CopySide::Source => {
                try_join_all(services.iter().map(|service| self.allow_reading(service, &role, &login))).await?;
            }
            CopySide::Target => self.execute_as_operator(&statements::grant(&role, &login)).await?,
        }
        let (databases, password) = (databases(services)?, credentials::generate_password());
        self.set_copy_password(&login, &databases, &password).await?;
        let server = self.server();
        let credentials =
            databases.iter().map(|database| server.with_login(login.as_str(), &password, database.as_str()));
        Ok(services.iter().cloned().zip(credentials).collect())
    }

    /// Ends the sessions of a tenant's copy login and drops it, if there is one.
    pub async fn drop_copy_login(&self, tenant: &str) -> Result<(), Error> {
        let login = Identifier::copy_login(tenant)?;
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)");
        let exists: bool = found.bind(login.as_str()).fetch_one(&self.admin).await?;
        let databases = databases(&self.services())?;
        let Some(first) = databases.first().filter(|_| exists) else { return Ok(()) };
        let role = Identifier::tenant(tenant)?;
        try_join_all(self.services().into_iter().map(|service| self.stop_reading(service, &role, &login))).await?;
        // No login but a superuser's may end another's sessions or drop its objects, so this is done as the login itself. The new
        // password keeps the Job out.
        let password = credentials::generate_password();
        self.set_copy_password(&login, &databases, &password).await?;
        let server = self.server();
        let options = |database: &Identifier| server.with_login(login.as_str(), &password, database.as_str()).options();
        let mut session = PgConnection::connect_with(&options(first)).await?;
        raw_sql(END_OTHER_SESSIONS).execute(&mut session).await?;
        session.close().await?;
        // All are opened before the first drops what lets the login connect.
        let mut sessions =
            try_join_all(databases.iter().map(async |one| PgConnection::connect_with(&options(one)).await)).await?;
        for session in &mut sessions {
            raw_sql(DROP_OWN_OBJECTS).execute(session).await?;
        }
        try_join_all(sessions.into_iter().map(Connection::close)).await?;
        self.execute_as_operator(&statements::drop_copy_login(&login, &databases)).await?;
        info!(login = login.as_str(), "dropped the login of a copy");
        Ok(())
    }

    /// Names of the roles whose copy logins exist, as `t_<tenant>`.
    pub async fn copied_roles(&self) -> Result<BTreeSet<String>, Error> {
        let found = r"SELECT 't_' || substr(rolname, 6) FROM pg_roles WHERE rolname LIKE 'copy\_%'";
        let roles: Vec<String> = sqlx::query_scalar(found).fetch_all(&self.admin).await?;
        Ok(roles.into_iter().collect())
    }

    async fn allow_reading(&self, service: &str, role: &Identifier, login: &Identifier) -> Result<(), Error> {
        self.count_write();
        let mut transaction = self.service(service)?.begin().await?;
        raw_sql(AssertSqlSafe(statements::allow_reading(role, login))).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Only the owner, who has granted them, can revoke these rights.
    async fn stop_reading(&self, service: &str, role: &Identifier, login: &Identifier) -> Result<(), Error> {
        let mut transaction = self.service(service)?.begin().await?;
        let found =
            "SELECT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
            WHERE n.nspname = $1 AND r.rolname = $2)";
        let reads: bool =
            sqlx::query_scalar(found).bind(role.as_str()).bind(login.as_str()).fetch_one(&mut *transaction).await?;
        if reads {
            self.count_write();
            raw_sql(AssertSqlSafe(statements::stop_reading(role, login))).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn set_copy_password(
        &self,
        login: &Identifier,
        databases: &[Identifier],
        password: &str,
    ) -> Result<(), Error> {
        let until = (Timestamp::now() + LIFETIME).to_string();
        let open = statements::open_copy_login(login, databases, &setup::verifier(password), &until);
        self.execute_as_operator(&open).await
    }

    async fn execute_as_operator(&self, sql: &str) -> Result<(), Error> {
        self.count_write();
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.admin).await?;
        Ok(())
    }
}

fn databases<S: AsRef<str>>(services: &[S]) -> Result<Vec<Identifier>, InvalidName> {
    services.iter().map(|service| Identifier::database(service.as_ref())).collect()
}
