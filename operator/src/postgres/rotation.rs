//! New credentials on a live connection, so that nothing is connected anew for them.

use std::sync::PoisonError;

use easycode_contract::database::Identifier;

use super::{
    Error,
    credentials::Credentials,
    database::Database,
    setup::{self, ServiceLogins},
    statements::END_OTHER_SESSIONS,
};

impl Database {
    /// Number of sessions of the service's login that is not in use, if that is open. Postgres is asked only if it may be.
    pub async fn other_sessions(&self, service: &str) -> Result<Option<i64>, Error> {
        if !self.open().contains(service) {
            return Ok(None);
        }
        let other = self.known(service)?.other()?;
        let sessions = setup::sessions_if_open(&self.admin, &other).await?;
        if sessions.is_none() {
            self.open().remove(service);
        }
        Ok(sessions)
    }

    /// Opens the service's login that is not in use, with the password. The one in use goes on to work.
    pub async fn open_other(&self, service: &str, password: String) -> Result<ServiceLogins, Error> {
        let present = self.known(service)?;
        let next = ServiceLogins { login: present.other()?, service_password: password, ..present };
        self.open().insert(service.to_owned());
        setup::open(&self.admin, &self.server(), &next).await?;
        Ok(next)
    }

    /// Closes the service's login that is not in use.
    pub async fn close_other(&self, service: &str) -> Result<(), Error> {
        setup::close(&self.admin, &self.known(service)?.other()?).await?;
        self.open().remove(service);
        Ok(())
    }

    /// Sets the password of the service's migrations, for the sessions that follow.
    pub async fn renew_migrations(&self, service: &str, password: &str) -> Result<(), Error> {
        setup::renew(&self.admin, &Identifier::migration_login(service)?, password).await?;
        let next = ServiceLogins { migration_password: password.to_owned(), ..self.known(service)? };
        if let Some(pool) = self.services.get(service) {
            pool.set_connect_options(next.migrating(&self.server())?.options());
        }
        self.use_logins(next);
        Ok(())
    }

    /// Ends the sessions of the service's migrations, which may be somebody else's. The operator's own are opened anew.
    pub async fn end_migration_sessions(&self, service: &str) -> Result<(), Error> {
        sqlx::raw_sql(END_OTHER_SESSIONS).execute(self.service(service)?).await?;
        Ok(())
    }

    /// Sets the password of the operator's own login, for the sessions that follow.
    pub async fn renew_own(&self, next: &Credentials) -> Result<(), Error> {
        setup::renew_own(&self.admin, &next.password).await?;
        self.admin.set_connect_options(next.options());
        self.server.write().unwrap_or_else(PoisonError::into_inner).clone_from(next);
        Ok(())
    }

    /// Notes the logins that are in use from now on.
    pub fn use_logins(&self, next: ServiceLogins) {
        let mut all = self.logins.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.service != next.service);
        all.push(next);
        // As they are planned.
        all.sort_by(|one, other| one.service.cmp(&other.service));
    }

    fn known(&self, service: &str) -> Result<ServiceLogins, Error> {
        self.logins_of(service).ok_or_else(|| Error::Refused(format!("there is no database for {service}")))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
