//! The live connection to a platform's Postgres: keeps the last survey, and brings tenants to plan in batches.
//!
//! Batches, because Postgres rebuilds a login's list of memberships after each change to any: one transaction for many
//! tenants pays for that, and for the flush of the log, once. When a batch fails, its tenants are tried one by one, so
//! one tenant's trouble stays its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use easycode_contract::database::Identifier;
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use sqlx::{
    AssertSqlSafe, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Error,
    audit::{self, Account, Known, Record, Recorded},
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

/// Longest time for a batch, beyond what Postgres itself allows a statement.
const LONGEST_WRITE: Duration = Duration::from_secs(90);

/// A platform's Postgres.
pub struct Database {
    pub(super) server: RwLock<Credentials>,
    version: String,
    pub(super) logins: RwLock<Vec<ServiceLogins>>,
    /// Services whose login that is not in use is open.
    pub(super) open: std::sync::Mutex<BTreeSet<String>>,
    pub(super) admin: PgPool,
    pub(super) services: BTreeMap<String, PgPool>,
    survey: RwLock<Survey>,
    /// Roles whose data was found to differ from what was left there, until someone sees to them.
    changed: std::sync::Mutex<BTreeSet<String>>,
    /// What is recorded of specs in the audit trail.
    recorded: Recorded,
    /// Whether the answer to a write was lost, so that nobody knows what is there until the next look.
    uncertain: AtomicBool,
    closed: AtomicBool,
    /// Held while writing or surveying: a survey must not miss a batch that commits meanwhile.
    exclusive: Mutex<()>,
    queue: mpsc::Sender<Request>,
    metrics: Arc<Metrics>,
}

struct Request {
    role: Identifier,
    steps: Vec<Step>,
    account: Account,
    done: oneshot::Sender<Result<TenantData, Error>>,
}

impl Database {
    /// Connects, sets everything up that is missing, and surveys.
    ///
    /// `owner` names the platform or the instance; the server is refused if it is that of another one.
    pub async fn connect(
        server: Credentials,
        logins: &[ServiceLogins],
        owner: &str,
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
        let (mut services, mut open) = (BTreeMap::new(), BTreeSet::new());
        for logins in logins {
            setup::service(&admin, &server, logins, owner).await?;
            services.insert(logins.service.clone(), pool(&logins.migrating(&server)?, 2));
            if setup::sessions_if_open(&admin, &logins.other()?).await?.is_some() {
                open.insert(logins.service.clone());
            }
        }
        let (queue, requests) = mpsc::channel(1024);
        let database = Arc::new(Self {
            server: RwLock::new(server),
            version,
            logins: RwLock::new(logins.to_vec()),
            open: std::sync::Mutex::new(open),
            admin,
            services,
            survey: RwLock::default(),
            changed: std::sync::Mutex::default(),
            recorded: Recorded::default(),
            uncertain: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            exclusive: Mutex::default(),
            queue,
            metrics,
        });
        database.refresh().await?;
        for row in sqlx::query(audit::KNOWN).fetch_all(&database.admin).await? {
            let written: Option<String> = row.get("written");
            let known = Known {
                generation: row.get("generation"),
                written: written.and_then(|written| written.parse().ok()),
                deleted: row.get("deleted"),
            };
            database.recorded.read(row.get("uid"), known);
        }
        tokio::spawn(work(Arc::downgrade(&database), requests));
        Ok(database)
    }

    /// Whether this connection is to the given server and has set up the given logins.
    #[must_use]
    pub fn serves(&self, server: &Credentials, logins: &[ServiceLogins]) -> bool {
        *read(&self.server) == *server && *read(&self.logins) == logins
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

    /// How a service itself logs in.
    #[must_use]
    pub fn login_of(&self, service: &str) -> Option<PgConnectOptions> {
        Some(self.logins_of(service)?.serving(&self.server()).ok()?.options())
    }

    /// How the operator logs in.
    #[must_use]
    pub fn server(&self) -> Credentials {
        read(&self.server).clone()
    }

    /// The logins of a service.
    #[must_use]
    pub fn logins_of(&self, service: &str) -> Option<ServiceLogins> {
        read(&self.logins).iter().find(|one| one.service == service).cloned()
    }

    /// How a service's migrations log in.
    #[must_use]
    pub fn migrations_of(&self, service: &str) -> Option<Credentials> {
        self.logins_of(service)?.migrating(&read(&self.server)).ok()
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
        self.survey_anew().await
    }

    /// Fails with [`Error::Full`] if there is no room to write, and only then.
    pub async fn try_room(&self) -> Result<(), Error> {
        self.metrics.sql_statement("read");
        let tried = async { Ok(raw_sql(survey::ROOM).execute(&self.admin).await?) };
        match in_time(LONGEST_LOOK, tried).await {
            Err(Error::Full) => Err(Error::Full),
            // That temporary files are bounded, say, tells nothing of the room for data, and whether it answers tells a survey.
            _ => Ok(()),
        }
    }

    async fn survey_anew(&self) -> Result<(), Error> {
        let fresh = in_time(LONGEST_LOOK, self.look()).await?;
        let mut known = self.survey.write().unwrap_or_else(PoisonError::into_inner);
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh.changed_since(&known));
        *known = fresh;
        self.uncertain.store(false, Ordering::Relaxed);
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

    /// What is recorded of the spec of the object with the uid.
    #[must_use]
    pub fn recorded(&self, uid: &str) -> Known {
        self.recorded.of(uid)
    }

    /// Adds to the audit trail what is not the record of a step; nothing if there is nothing to add.
    pub async fn record(&self, records: &[Record]) -> Result<(), Error> {
        if let Some(statement) = audit::insert(records) {
            self.write_roles(&[statement]).await?;
            self.recorded.wrote(records);
        }
        Ok(())
    }

    /// Takes the steps for the tenant, together with whatever else is asked for at the time, and returns what it has then.
    /// Each step, and what else the account tells, is recorded with it.
    pub async fn bring(&self, role: &Identifier, steps: Vec<Step>, account: Account) -> Result<TenantData, Error> {
        let (done, outcome) = oneshot::channel();
        let stopped = || Error::Unavailable("the connection was closed".to_owned());
        self.queue.send(Request { role: role.clone(), steps, account, done }).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Connections to a service's database, as its migrations.
    pub(super) fn service(&self, service: &str) -> Result<&PgPool, Error> {
        self.services.get(service).ok_or_else(|| Error::Refused(format!("there is no database for {service}")))
    }

    pub(super) fn count_write(&self) {
        self.metrics.sql_statement("write");
    }

    fn read(&self) -> RwLockReadGuard<'_, Survey> {
        read(&self.survey)
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

    /// Takes the steps of all requests: first those on roles, in one transaction with all records, then those within each
    /// service's database, one transaction each and side by side, last those that need the schemas to be gone. `begun` says
    /// whether the first transaction was committed by an earlier trial.
    async fn take(&self, requests: &[&Request], begun: &AtomicBool) -> Result<(), Error> {
        if !begun.load(Ordering::Relaxed) {
            self.begin(requests).await?;
            begun.store(true, Ordering::Relaxed);
        }
        let mut by_service: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for Request { role, steps, .. } in requests {
            for step in steps {
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

        let forgotten = || requests.iter().filter(|request| request.steps.contains(&Step::Forget));
        let records: Vec<_> = forgotten().map(|request| self.record_of(request, &Step::Forget)).collect();
        let last = forgotten().map(|request| super::statements::forget(&request.role)).chain(audit::insert(&records));
        self.write_roles(&last.collect::<Vec<_>>()).await
    }

    /// Takes the steps on roles, and records everything that is going to be done.
    async fn begin(&self, requests: &[&Request]) -> Result<(), Error> {
        let mut statements = Vec::new();
        let mut records = Vec::new();
        for request in requests {
            statements.extend(request.steps.iter().filter_map(|step| step.statement(&request.role)));
            records.extend(request.account.records.iter().cloned());
            let noted = request.steps.iter().filter(|step| **step != Step::Forget);
            records.extend(noted.map(|step| self.record_of(request, step)));
        }
        statements.extend(audit::insert(&records));
        self.write_roles(&statements).await?;
        self.recorded.wrote(&records);
        // Whatever becomes of the rest, these steps are not to be planned, and recorded, again.
        for request in requests {
            let on_roles = request.steps.iter().filter(|step| step.statement(&request.role).is_some());
            let steps: Vec<_> = on_roles.cloned().collect();
            self.learn(request, &steps);
        }
        Ok(())
    }

    fn record_of(&self, request: &Request, step: &Step) -> Record {
        request.account.of_step(step, &self.tenant(&request.role), &self.published())
    }

    /// Takes note of what the tenant has after steps.
    fn learn(&self, request: &Request, steps: &[Step]) -> TenantData {
        let present = self.tenant(&request.role);
        if steps.is_empty() {
            return present;
        }
        let data = plan::outcome(&present, steps, &self.published(), Timestamp::now());
        let mut survey = self.survey.write().unwrap_or_else(PoisonError::into_inner);
        survey.tenants.insert(request.role.as_str().to_owned(), data.clone());
        data
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
        let pool = self.service(service)?;
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
        if self.uncertain.load(Ordering::Relaxed) {
            // Plans made from what was known before would do, and record, things twice.
            let outcome = self.survey_anew().await;
            let lost = || Error::Unavailable("an answer was lost, so it was looked at anew".to_owned());
            for request in batch {
                let _ = request.done.send(Err(outcome.clone().err().unwrap_or_else(lost)));
            }
            return;
        }
        let all: Vec<_> = batch.iter().collect();
        let begun = AtomicBool::new(false);
        let together = in_time(LONGEST_WRITE, self.take(&all, &begun)).await;
        let alone = match together {
            Err(Error::Refused(_)) if batch.len() > 1 => {
                let begun = begun.load(Ordering::Relaxed);
                let retry = async |one| in_time(LONGEST_WRITE, self.take(&[one], &AtomicBool::new(begun))).await;
                join_all(all.into_iter().map(retry)).await
            }
            outcome => batch.iter().map(|_| outcome.clone()).collect(),
        };
        if alone.iter().any(|outcome| matches!(outcome, Err(Error::Unavailable(_)))) {
            self.uncertain.store(true, Ordering::Relaxed);
        }
        for (request, outcome) in batch.into_iter().zip(alone) {
            let result = outcome.map(|()| self.learn(&request, &request.steps));
            // The asker may have been cancelled; the work is done all the same.
            let _ = request.done.send(result);
        }
    }
}

/// A server that is gone answers nothing, not even that: whoever else wants to write or look must not wait for it.
pub async fn in_time<T, E: From<Error>>(longest: Duration, asking: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let late = |_| Err(Error::Unavailable(format!("no answer in {} s", longest.as_secs())).into());
    tokio::time::timeout(longest, asking).await.unwrap_or_else(late)
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

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
