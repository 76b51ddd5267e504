//! The live connection to a platform's Postgres: keeps the last survey, and brings tenants to plan in batches.
//!
//! Batches, because Postgres rebuilds a login's list of memberships after each change to any: one transaction for many
//! tenants pays for that, and for the flush of the log, once. When a batch fails, its tenants are tried one by one, so
//! one tenant's trouble stays its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use easycode_contract::database::Identifier;
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgPoolOptions, raw_sql};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Error,
    credentials::Credentials,
    plan::{self, Step},
    setup::{self, ServiceLogins},
    survey::{self, Survey, TenantData},
};
use crate::runtime::metrics::Metrics;

/// Most tenants in one transaction: their new relations must fit into Postgres' table of locks.
const BATCH: usize = 32;

/// Longest time that Postgres may take to show what it holds.
const LONGEST_LOOK: Duration = Duration::from_secs(20);

/// A platform's Postgres.
pub struct Database {
    server: Credentials,
    version: String,
    logins: Vec<ServiceLogins>,
    admin: PgPool,
    services: BTreeMap<String, PgPool>,
    survey: RwLock<Survey>,
    /// Roles whose data was found to differ from what was left there, until someone sees to them.
    changed: std::sync::Mutex<BTreeSet<String>>,
    closed: AtomicBool,
    /// Held while writing or surveying: a survey must not miss a batch that commits meanwhile.
    exclusive: Mutex<()>,
    queue: mpsc::Sender<Request>,
    metrics: Arc<Metrics>,
}

struct Request {
    role: Identifier,
    steps: Vec<Step>,
    done: oneshot::Sender<Result<TenantData, Error>>,
}

impl Database {
    /// Connects, sets everything up that is missing, and surveys.
    pub async fn connect(
        server: Credentials,
        logins: &[ServiceLogins],
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, Error> {
        let pool = |credentials: &Credentials, most| {
            PgPoolOptions::new()
                .max_connections(most)
                .min_connections(0)
                .acquire_timeout(Duration::from_secs(5))
                .idle_timeout(Duration::from_mins(1))
                .connect_lazy_with(credentials.options())
        };
        let admin = pool(&server, 2);
        let version = setup::registry(&admin).await?;
        let mut services = BTreeMap::new();
        for logins in logins {
            setup::service(&admin, &server, logins).await?;
            let login = Identifier::migration_login(&logins.service)?;
            let database = Identifier::database(&logins.service)?;
            let credentials = server.with_login(login.as_str(), &logins.migration_password, database.as_str());
            services.insert(logins.service.clone(), pool(&credentials, 2));
        }
        let (queue, requests) = mpsc::channel(1024);
        let database = Arc::new(Self {
            server,
            version,
            logins: logins.to_vec(),
            admin,
            services,
            survey: RwLock::default(),
            changed: std::sync::Mutex::default(),
            closed: AtomicBool::new(false),
            exclusive: Mutex::default(),
            queue,
            metrics,
        });
        database.refresh().await?;
        tokio::spawn(work(Arc::downgrade(&database), requests));
        Ok(database)
    }

    /// Whether this connection is to the given server and has set up the given logins.
    #[must_use]
    pub fn serves(&self, server: &Credentials, logins: &[ServiceLogins]) -> bool {
        self.server == *server && self.logins == logins
    }

    /// The version of Postgres, such as `15.8`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the tenant has, as last seen or made.
    #[must_use]
    pub fn tenant(&self, role: &Identifier) -> TenantData {
        self.read().tenants.get(role.as_str()).cloned().unwrap_or_default()
    }

    /// The services whose databases are looked at.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        self.services.keys().map(String::as_str).collect()
    }

    /// Version of the published migrations, by service.
    #[must_use]
    pub fn published(&self) -> BTreeMap<String, i32> {
        self.read().published.clone()
    }

    /// Tenants whose schema of the service is behind its published migrations.
    #[must_use]
    pub fn behind(&self, service: &str) -> Vec<String> {
        self.read().behind(service).into_iter().map(str::to_owned).collect()
    }

    /// Surveys anew.
    pub async fn refresh(&self) -> Result<(), Error> {
        let _exclusive = self.exclusive.lock().await;
        let fresh = tokio::time::timeout(LONGEST_LOOK, self.look())
            .await
            .map_err(|_| Error::Unavailable(format!("no answer in {} s", LONGEST_LOOK.as_secs())))??;
        let mut known = self.survey.write().unwrap_or_else(PoisonError::into_inner);
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh.changed_since(&known));
        *known = fresh;
        Ok(())
    }

    /// The roles whose data was not what was last seen or made, at any survey since this was last asked.
    pub fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finishes what is under way and takes no more, so that a connection that follows sees all that was made.
    pub async fn close(&self) {
        let _exclusive = self.exclusive.lock().await;
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Takes the steps for the tenant, together with whatever else is asked for at the time, and returns what it has then.
    pub async fn bring(&self, role: &Identifier, steps: Vec<Step>) -> Result<TenantData, Error> {
        let (done, outcome) = oneshot::channel();
        let stopped = || Error::Unavailable("the connection was closed".to_owned());
        self.queue.send(Request { role: role.clone(), steps, done }).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Survey> {
        self.survey.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        self.metrics.sql_statement("read");
        for row in sqlx::query(survey::ROLES).fetch_all(&self.admin).await? {
            let withdrawn: BTreeMap<String, Timestamp> =
                serde_json::from_str(row.get("withdrawn")).map_err(|error| Error::Refused(error.to_string()))?;
            let retained: Option<String> = row.get("retained");
            let data = TenantData {
                role_exists: row.get("role_exists"),
                members: row.get::<Vec<String>, _>("members").into_iter().collect(),
                schemas: BTreeMap::new(),
                lost: BTreeSet::new(),
                uid: row.get("uid"),
                display_name: row.get("display_name"),
                // A time that can't be read is still a mark.
                retained: retained.map(|text| text.parse().unwrap_or(Timestamp::MAX)),
                withdrawn,
            };
            survey.tenants.insert(row.get("role"), data);
        }
        for (service, pool) in &self.services {
            self.metrics.sql_statement("read");
            for row in sqlx::query(survey::SCHEMAS).fetch_all(pool).await? {
                let data = survey.tenants.entry(row.get("name")).or_default();
                if row.get("lost") {
                    data.lost.insert(service.clone());
                } else {
                    data.schemas.insert(service.clone(), row.get("version"));
                }
            }
            self.metrics.sql_statement("read");
            let published: i32 = sqlx::query_scalar(survey::PUBLISHED).fetch_one(pool).await?;
            survey.published.insert(service.clone(), published);
        }
        Ok(survey)
    }

    /// Takes the steps of all requests: first those on roles, in one transaction, then those within each service's
    /// database, one transaction each and side by side, last those that need the schemas to be gone.
    async fn take(&self, requests: &[(&Identifier, &[Step])]) -> Result<(), Error> {
        let on_roles: Vec<_> =
            requests.iter().flat_map(|(role, steps)| steps.iter().filter_map(|step| step.statement(role))).collect();
        self.write_roles(&on_roles).await?;

        let mut by_service: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for (role, steps) in requests {
            for step in *steps {
                match step {
                    Step::Provision { service } => {
                        by_service.entry(service).or_default().0.push(role.as_str().to_owned());
                    }
                    Step::Erase { service } => by_service.entry(service).or_default().1.push(role.as_str().to_owned()),
                    _ => {}
                }
            }
        }
        try_join_all(
            by_service.into_iter().map(|(service, (provision, erase))| self.write_schemas(service, provision, erase)),
        )
        .await?;

        let last: Vec<_> = requests
            .iter()
            .filter(|(_, steps)| steps.contains(&Step::Forget))
            .map(|(role, _)| super::statements::forget(role))
            .collect();
        self.write_roles(&last).await
    }

    async fn write_roles(&self, statements: &[String]) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        for _ in statements {
            self.metrics.sql_statement("write");
        }
        // Statements sent together are one transaction.
        raw_sql(AssertSqlSafe(statements.join(";\n"))).execute(&self.admin).await?;
        Ok(())
    }

    async fn write_schemas(&self, service: &str, provision: Vec<String>, erase: Vec<String>) -> Result<(), Error> {
        let pool = self
            .services
            .get(service)
            .ok_or_else(|| Error::Refused(format!("the platform has no database for {service}")))?;
        for (function, roles) in [
            ("SELECT easycode.migrate(role) FROM unnest($1::text[]) role", provision),
            ("SELECT easycode.erase(role) FROM unnest($1::text[]) role", erase),
        ] {
            if !roles.is_empty() {
                self.metrics.sql_statement("write");
                sqlx::query(function).bind(roles).execute(pool).await?;
            }
        }
        Ok(())
    }

    async fn serve(&self, batch: Vec<Request>) {
        let _exclusive = self.exclusive.lock().await;
        if self.closed.load(Ordering::Relaxed) {
            let closed = || Error::Unavailable("the operator connects anew".to_owned());
            for request in batch {
                let _ = request.done.send(Err(closed()));
            }
            return;
        }
        let all: Vec<_> = batch.iter().map(|request| (&request.role, request.steps.as_slice())).collect();
        let together = self.take(&all).await;
        let alone = match together {
            Err(Error::Refused(_)) if batch.len() > 1 => {
                join_all(all.iter().map(|one| self.take(std::slice::from_ref(one)))).await
            }
            outcome => batch.iter().map(|_| outcome.clone()).collect(),
        };
        let published = self.published();
        for (request, outcome) in batch.into_iter().zip(alone) {
            let present = self.tenant(&request.role);
            let result = outcome.map(|()| plan::outcome(&present, &request.steps, &published, Timestamp::now()));
            if let Ok(data) = &result {
                let mut survey = self.survey.write().unwrap_or_else(PoisonError::into_inner);
                survey.tenants.insert(request.role.as_str().to_owned(), data.clone());
            }
            // The asker may have been cancelled; the work is done all the same.
            let _ = request.done.send(result);
        }
    }
}

async fn work(database: std::sync::Weak<Database>, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match requests.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) => break,
            }
        }
        let Some(database) = database.upgrade() else { return };
        database.serve(batch).await;
    }
}
