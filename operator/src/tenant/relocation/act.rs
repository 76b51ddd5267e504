//! The work of each phase. All of it may be done again from the beginning, which is what happens after a crash.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, instance, platform,
    tenant::{MovePhase, Relocation},
};
use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams, runtime::reflector::ObjectRef};
use tracing::warn;

use super::{
    check,
    job::{Server, Way},
    longest_pause, plan, words,
};
use crate::{
    audit,
    kubernetes::{job, object::Kind},
    postgres::{
        self, CopySide, Database,
        audit::{Account, Record},
        catch_up::catch_up,
        credentials::Credentials,
        database::in_time,
        plan::{self as database_plan, Step},
        relocation::Fingerprint,
        survey::TenantData,
    },
    runtime::{context::Context, error::Error},
    stack::{
        apply::pods,
        home::Home,
        plan::{cloudnative_pg, postgres as embedded},
    },
    tenant::config_map_name,
};

/// For how long a home that was left can still be read, so that nobody comes to a home that does not know the tenant yet or
/// any more.
const GRACE_MS: i64 = 2_000;

/// Longest time that dropping a login may take: a server that is gone without a word never says so.
const LOGIN_DROP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two looks at whether the servers still answer, and for an answer.
const PING: Duration = Duration::from_secs(5);
/// How many answers in a row may be missed.
const MISSED: u32 = 3;

/// How far the work of a phase came.
pub enum Outcome {
    /// It is done.
    Done,
    /// It waits; a clause that says for what.
    Waits(String),
    /// It can't be done; a sentence that says why.
    Failed(String),
}

/// A move at work.
pub struct Work<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// Role and schema.
    pub role: Identifier,
    /// The old home.
    pub from: Home,
    /// The new home.
    pub to: Home,
    /// Whether the home that the tenant lives in is as planned.
    pub settled: bool,
    /// What the controllers share.
    pub context: &'a Context,
}

impl Work<'_> {
    /// Does the work of the phase, and notes in the move what is to be told of it. While nothing can be written, it does not wait
    /// for a server that is gone without a word.
    pub async fn act(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        if !plan::freezes(relocation.phase) {
            return self.work(relocation).await;
        }
        tokio::select! {
            outcome = self.work(relocation) => outcome,
            error = self.a_server_is_lost() => Err(error),
        }
    }

    /// Returns when one of the two servers has not answered several times.
    async fn a_server_is_lost(&self) -> Error {
        let mut missed = [0; 2];
        loop {
            tokio::time::sleep(PING).await;
            for (home, missed) in [&self.from, &self.to].into_iter().zip(&mut missed) {
                let Some(database) = self.context.databases.get(home) else { continue };
                let answered = tokio::time::timeout(PING, database.ping()).await.is_ok_and(|answer| answer.is_ok());
                *missed = if answered { 0 } else { *missed + 1 };
                if *missed == MISSED {
                    return postgres::Error::Unavailable(format!("the Postgres of {home} does not answer any more"))
                        .into();
                }
            }
        }
    }

    async fn work(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        match relocation.phase {
            MovePhase::Preparing => self.prepare(relocation).await,
            MovePhase::Copying => self.copy(relocation).await,
            MovePhase::Freezing => self.freeze(relocation).await,
            MovePhase::CatchingUp => self.catch_up(relocation).await,
            MovePhase::Verifying => self.verify(relocation).await,
            MovePhase::CuttingOver => self.close(relocation).await,
            MovePhase::Cancelling => self.let_in_again(relocation).await,
            MovePhase::Clearing => self.clear(relocation).await,
            MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed => Ok(Outcome::Done),
        }
    }

    async fn prepare(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        if !self.settled {
            return Ok(Outcome::Waits(format!("the tenant is not in order on {} yet", self.from)));
        }
        match check::services(self.tenant, &self.role, &self.from, &self.to, self.context) {
            Ok(services) => relocation.services = services,
            Err(why) => return Ok(Outcome::Waits(why)),
        }
        let Some(source) = self.context.databases.get(&self.from) else { return Ok(disconnected(&self.from)) };
        self.record(&source, relocation, "begin to").await?;
        relocation.copied_until = Some(source.oldest_transaction().await?.to_string());
        Ok(Outcome::Done)
    }

    async fn freeze(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        if !self.settled {
            return Ok(Outcome::Waits("the services are being told".to_owned()));
        }
        let Some(source) = self.context.databases.get(&self.from) else { return Ok(disconnected(&self.from)) };
        try_join_all(relocation.services.iter().map(|service| source.freeze(service, &self.role))).await?;
        Ok(Outcome::Done)
    }

    async fn copy(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        let (context, way) = (self.context, self.way(relocation));
        let Some((source, target)) = self.both() else { return Ok(self.apart()) };
        let namespace = self.to.namespace();
        let Some(live) = context.caches.get(Kind::Job, &namespace, &way.job_name()) else {
            let Some(seen) = context.seen(&self.to) else {
                return Ok(Outcome::Waits(format!("the services of {} do not run", self.to)));
            };
            // The cache may be behind, and the schemas of a job that runs must not be made anew.
            if context.applier.api(Kind::Job, &namespace).get_opt(&way.job_name()).await?.is_some() {
                return Ok(Outcome::Waits("the job starts".to_owned()));
            }
            self.make_room(relocation, &source.tenant(&self.role), &target).await?;
            for policy in way.policies(&self.server()) {
                context.applier.apply(&policy, &context.caches).await?;
            }
            context.applier.apply(&way.job(&self.role, &seen.nodes, context), &context.caches).await?;
            self.hand_over(&way, &source, &target).await?;
            return Ok(Outcome::Waits("the job starts".to_owned()));
        };
        if !Way::has_own_login(&live) {
            return Ok(Outcome::Failed(
                "the copy was begun by an earlier version of the operator, with logins that reach other tenants"
                    .to_owned(),
            ));
        }
        match job::succeeded(&live) {
            Some(true) => {
                self.drop_logins().await?;
                return self.before_the_pause(relocation, &source, &target).await;
            }
            Some(false) => {
                return Ok(Outcome::Failed(format!(
                    "the copy failed; its last words: {}",
                    self.last_words(&way).await?.unwrap_or_else(|| "none".to_owned())
                )));
            }
            None => {}
        }
        // A release that waits for the copy to end would keep the tenant waiting behind it.
        let (here, published) = (source.tenant(&self.role), source.published());
        let overtaken = relocation.services.iter().find(|service| {
            here.schemas.get(*service).zip(published.get(*service)).is_some_and(|(version, newest)| version < newest)
        });
        if let Some(service) = overtaken {
            return Ok(Outcome::Failed(format!("another release of {service} came to {} during the copy", self.from)));
        }
        self.hand_over(&way, &source, &target).await?;
        let failed = live.data["status"]["failed"].as_i64().unwrap_or_default();
        let trials = if failed > 0 { format!(", trial {}", failed + 1) } else { String::new() };
        Ok(Outcome::Waits(match pods::trouble(&namespace, &way.selector(), context).await? {
            Some(trouble) => format!("job {namespace}/{} can't run: {}", way.job_name(), trouble.message),
            None => format!("job {namespace}/{} runs{trials}", way.job_name()),
        }))
    }

    /// Looks for what would make the move fail, before writes are stopped for it.
    async fn before_the_pause(
        &self,
        relocation: &Relocation,
        source: &Database,
        target: &Database,
    ) -> Result<Outcome, Error> {
        if let Some(why) = self.outdated(relocation, source, target).await? {
            return Ok(Outcome::Failed(why));
        }
        for service in &relocation.services {
            // An instance's logins reach its own client alone, and a platform's server is no client's.
            if matches!(self.to, Home::Platform(_))
                && let Some(object) = target.foreign_structure(service, &self.role).await?
            {
                return Ok(Outcome::Failed(format!(
                    "the copy of {service} is not as its migrations make it: {object} differs; mend that on {}",
                    self.from
                )));
            }
            let objects = source.large_objects(service, &self.role).await?;
            if objects > 0 {
                return Ok(Outcome::Failed(format!(
                    "{service} has {objects} large objects of the tenant, which can't be moved; keep them in tables"
                )));
            }
        }
        if let why @ Outcome::Waits(_) = self.unless_unavailable() {
            return Ok(why);
        }
        // What is compared in the pause is compared once before, to see how long that takes.
        let begun = Instant::now();
        self.fingerprints(relocation, source, target).await?;
        let (took, longest) = (begun.elapsed(), longest_pause(self.tenant));
        Ok(if took < longest {
            Outcome::Done
        } else {
            Outcome::Failed(format!(
                "comparing the data takes {} s, and nothing may be written for {} s at most; set deployment.longestPause to more than that",
                took.as_secs(),
                longest.as_secs()
            ))
        })
    }

    /// Those of each service's data and of its copy.
    async fn fingerprints(
        &self,
        relocation: &Relocation,
        source: &Database,
        target: &Database,
    ) -> Result<Vec<(Fingerprint, Fingerprint)>, postgres::Error> {
        let pairs = relocation
            .services
            .iter()
            .map(|service| try_join(source.fingerprint(service, &self.role), target.fingerprint(service, &self.role)));
        try_join_all(pairs).await
    }

    /// Done, if the other home can take over.
    fn unless_unavailable(&self) -> Outcome {
        match check::unavailable(&self.to, self.context) {
            Some(why) => Outcome::Waits(format!("{} does not serve any more: {why}", self.to)),
            None => Outcome::Done,
        }
    }

    /// What the programs of the job's last pod said at its end.
    async fn last_words(&self, way: &Way<'_>) -> Result<Option<String>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.to.namespace());
        let pods = pods.list(&ListParams::default().labels(&way.selector())).await?.items;
        let newest = pods.into_iter().max_by_key(|pod| pod.metadata.creation_timestamp.clone());
        let statuses = newest.and_then(|pod| pod.status?.container_statuses);
        let log = statuses.into_iter().flatten().find_map(|one| one.state?.terminated?.message);
        Ok(log.and_then(|log| words::of(&log)))
    }

    /// Prepares the new home's database: role, registration as data that is kept and not in use, and no version of a schema that
    /// is about to be overwritten.
    async fn make_room(&self, relocation: &Relocation, here: &TenantData, target: &Database) -> Result<(), Error> {
        let there = target.tenant(&self.role);
        let uid = self.tenant.uid().unwrap_or_default();
        let mut steps = Vec::new();
        if !there.role_exists {
            steps.push(Step::CreateRole);
        }
        if there.uid.as_ref() != Some(&uid) {
            let display_name = self.tenant.spec.display_name.clone();
            steps.extend([Step::Register { uid, display_name }, Step::Retain]);
        } else if there.retained.is_none() {
            steps.push(Step::Retain);
        }
        let wanted: BTreeSet<_> = relocation
            .services
            .iter()
            .filter_map(|service| Identifier::migration_login(service).ok())
            .map(|login| login.as_str().to_owned())
            .collect();
        let open = there.members.iter().filter(|login| login.starts_with("svc_"));
        steps.extend(open.map(|login| Step::Revoke { login: login.clone() }));
        steps.extend(wanted.difference(&there.members).map(|login| Step::Grant { login: login.clone() }));
        steps.extend(withdrawals(relocation, here, &there));
        if !steps.is_empty() {
            target.bring(&self.role, steps, self.account()).await?;
        }
        let services = relocation.services.iter();
        try_join_all(services.map(async |service| {
            target.forget_copy(service, &self.role).await?;
            target.empty_schema(service, &self.role).await
        }))
        .await?;
        Ok(())
    }

    /// Gives the job logins of its own, as soon as it can own the Secret with them.
    async fn hand_over(&self, way: &Way<'_>, source: &Database, target: &Database) -> Result<(), Error> {
        let (context, namespace, name) = (self.context, self.to.namespace(), way.job_name());
        if context.applier.api(Kind::Secret, &namespace).get_opt(&name).await?.is_some() {
            return Ok(());
        }
        let Some(job) = context.applier.api(Kind::Job, &namespace).get_opt(&name).await? else { return Ok(()) };
        let (tenant, services) = (self.tenant.name_any(), &way.relocation.services);
        let (from, to) = try_join(
            source.open_copy_login(&tenant, services, CopySide::Source),
            target.open_copy_login(&tenant, services, CopySide::Target),
        )
        .await?;
        let named = |side: &str, logins: Vec<(String, Credentials)>| {
            logins.into_iter().map(|(service, login)| (format!("{side}-{service}"), login)).collect::<Vec<_>>()
        };
        let logins = [named("from", from), named("to", to)].concat();
        let secret = way.secret(&logins, &job.uid().unwrap_or_default());
        context.applier.apply(&secret, &context.caches).await?;
        Ok(())
    }

    async fn catch_up(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let Some((source, target)) = self.both() else { return Ok(self.apart()) };
        if let Some(why) = self.outdated(relocation, &source, &target).await? {
            return Ok(Outcome::Failed(why));
        }
        let Some(since) = relocation.copied_until.as_deref().and_then(|since| since.parse().ok()) else {
            return Ok(Outcome::Failed("it is not known when the copy began".to_owned()));
        };
        let steps = withdrawals(relocation, &source.tenant(&self.role), &target.tenant(&self.role));
        if !steps.is_empty() {
            target.bring(&self.role, steps, self.account()).await?;
        }
        let services = relocation.services.iter();
        let rows = services.map(|service| catch_up(&source, &target, service, &self.role, since));
        relocation.rows_caught_up = Some(try_join_all(rows).await?.into_iter().sum());
        Ok(Outcome::Done)
    }

    /// The databases of both homes, if both are connected.
    fn both(&self) -> Option<(Arc<Database>, Arc<Database>)> {
        let databases = &self.context.databases;
        databases.get(&self.from).zip(databases.get(&self.to))
    }

    /// What is waited for while one is not.
    fn apart(&self) -> Outcome {
        Outcome::Waits(format!("the Postgres of {} or {} is not connected", self.from, self.to))
    }

    /// Why the copy can't be taken for the tenant's data any more, as a sentence: a schema was brought to another release since, or
    /// there is one more.
    async fn outdated(
        &self,
        relocation: &Relocation,
        source: &Database,
        target: &Database,
    ) -> Result<Option<String>, Error> {
        source.refresh().await?;
        Ok(match check::matching(&source.tenant(&self.role), &self.from, &target.published(), &self.to) {
            Ok(services) if services == relocation.services => None,
            Ok(services) => Some(format!(
                "the services changed since the copy began: it has {}, and {} is needed",
                relocation.services.join(", "),
                services.join(", ")
            )),
            Err(why) => Some(why),
        })
    }

    async fn verify(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let Some((source, target)) = self.both() else { return Ok(self.apart()) };
        if let Some(why) = self.outdated(relocation, &source, &target).await? {
            return Ok(Outcome::Failed(why));
        }
        let versions = source.tenant(&self.role).schemas;
        for (service, version) in versions.iter().filter(|(service, _)| relocation.services.contains(service)) {
            target.register_copy(service, &self.role, *version).await?;
        }
        target.refresh().await?;
        let (mut tables, mut rows) = (0, 0);
        let fingerprints = self.fingerprints(relocation, &source, &target).await?;
        for (service, (original, copy)) in relocation.services.iter().zip(fingerprints) {
            if let Some(difference) = original.difference(&copy) {
                return Ok(Outcome::Failed(format!("the copy of {service} is not equal: {difference}")));
            }
            tables += original.tables.len();
            rows += original.rows();
        }
        relocation.tables = i32::try_from(tables).ok();
        relocation.rows = Some(rows);
        // There is no way back from the cut-over but another move.
        Ok(self.unless_unavailable())
    }

    /// Closes the home that the tenant has left, once the new one serves.
    async fn close(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let passed = since_frozen(relocation);
        if relocation.write_downtime_ms.is_none() {
            if !self.settled {
                return Ok(Outcome::Waits(format!("{} takes over", self.to)));
            }
            relocation.write_downtime_ms = Some(passed);
        }
        let open = passed - relocation.write_downtime_ms.unwrap_or_default();
        if open < GRACE_MS {
            return Ok(Outcome::Waits("the old home can still be read, for those who come late".to_owned()));
        }
        self.leave(relocation).await
    }

    /// Closes the home that the tenant has left, and keeps the data there.
    pub async fn leave(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        let (context, config_map) = (self.context, config_map_name(self.tenant));
        let namespace = self.from.namespace();
        if context.caches.get(Kind::ConfigMap, &namespace, &config_map).is_some() {
            context.applier.delete(Kind::ConfigMap, &namespace, &config_map).await?;
        }
        if context.exists(&self.from) {
            let Some(source) = context.databases.get(&self.from) else { return Ok(disconnected(&self.from)) };
            let steps = database_plan::retain(&source.tenant(&self.role));
            if !steps.is_empty() {
                source.bring(&self.role, steps, self.account()).await?;
            }
            self.record(&source, relocation, "").await?;
        }
        if let Some(target) = context.databases.get(&self.to) {
            self.record(&target, relocation, "").await?;
        }
        self.remove_objects(relocation).await
    }

    /// Lets writes in again in the old home, and notes for how long nothing could be written.
    async fn let_in_again(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let Some(source) = self.context.databases.get(&self.from) else { return Ok(disconnected(&self.from)) };
        thaw(&source, &self.role).await?;
        relocation.write_downtime_ms = Some(since_frozen(relocation));
        Ok(Outcome::Done)
    }

    /// Removes what the move has made.
    async fn clear(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        if let Outcome::Waits(why) = self.remove_objects(relocation).await? {
            return Ok(Outcome::Waits(why));
        }
        if let Some(source) = self.context.databases.get(&self.from) {
            self.record(&source, relocation, "give up to").await?;
        }
        let former = self.tenant.status.iter().flat_map(|status| &status.former_homes);
        let untouched = former.map(plan::former).any(|former| former == self.to);
        if untouched || !self.context.exists(&self.to) {
            return Ok(Outcome::Done);
        }
        let Some(target) = self.context.databases.get(&self.to) else { return Ok(disconnected(&self.to)) };
        target.refresh().await?;
        let mut copy = target.tenant(&self.role);
        if copy.uid != self.tenant.uid() || copy.retained.is_none() {
            return Ok(Outcome::Done);
        }
        // A copy has no version until it is complete. What an earlier stay has left of other services is not the move's.
        let services = target.services();
        let begun = relocation.services.iter().filter(|service| services.contains(&service.as_str()));
        copy.schemas = begun.map(|service| (service.clone(), 0)).collect();
        target.bring(&self.role, database_plan::erase(&copy), self.account()).await?;
        target.refresh().await?;
        let left = target.tenant(&self.role);
        if left.schemas.is_empty() {
            target.bring(&self.role, database_plan::forget(&left), self.account()).await?;
        }
        Ok(Outcome::Done)
    }

    /// Drops the copy's logins on both servers, as far as they are connected.
    async fn drop_logins(&self) -> Result<(), postgres::Error> {
        let tenant = self.tenant.name_any();
        let databases = [&self.from, &self.to].into_iter().filter_map(|home| self.context.databases.get(home));
        for database in databases {
            in_time(LOGIN_DROP_TIMEOUT, database.drop_copy_login(&tenant)).await?;
        }
        Ok(())
    }

    /// Ends the job, and shuts its way.
    async fn remove_objects(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        let (context, way) = (self.context, self.way(relocation));
        // In a namespace that is gone the operator has no rights.
        let is_there = |home: &Home| context.caches.get(Kind::Namespace, "", &home.namespace()).is_some();
        // All are asked for by name, even if the cache does not show them yet: a policy that stays leaves the way open, and a job
        // that goes on would write to what is erased.
        for home in [&self.from, &self.to].into_iter().filter(|home| is_there(home)) {
            context.applier.delete(Kind::NetworkPolicy, &home.namespace(), &way.policy_name()).await?;
        }
        // A server that does not answer now is looked through when it does, see `drop_stale_logins`.
        if let Err(error) = self.drop_logins().await {
            warn!(tenant = self.tenant.name_any(), %error, "a login of the copy can't be dropped yet");
        }
        if !is_there(&self.to) {
            return Ok(Outcome::Done);
        }
        let namespace = self.to.namespace();
        context.applier.delete(Kind::Job, &namespace, &way.job_name()).await?;
        let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
        let left = pods.list(&ListParams::default().labels(&way.selector())).await?.items;
        if left.is_empty() { Ok(Outcome::Done) } else { Ok(Outcome::Waits("the job's pod ends".to_owned())) }
    }

    /// Tells the audit trail of the move: what is done about it, or that it was made.
    async fn record(&self, database: &Arc<Database>, relocation: &Relocation, what: &str) -> Result<(), Error> {
        let words = format!("{what} move the tenant from {} to {}", self.from, self.to);
        let once = format!("move/{}/{what}", relocation.started_at.as_deref().unwrap_or_default());
        let record = Record::of_act(&audit::subject(self.tenant), "Move", words.trim_start(), Some(&once));
        database.record(&[record]).await?;
        Ok(())
    }

    /// Steps are recorded for the tenant; what became of its spec is told where it lives.
    fn account(&self) -> Account {
        Account { subject: audit::subject(self.tenant), records: Vec::new(), adopted: None }
    }

    fn way<'a>(&'a self, relocation: &'a Relocation) -> Way<'a> {
        Way { tenant: self.tenant, relocation, from: &self.from, to: &self.to }
    }

    /// How the old home's Postgres is found.
    fn server(&self) -> Server {
        let embedded = Server::Pods("app.kubernetes.io/name", embedded::NAME);
        let outside = || {
            let database = self.context.databases.get(&self.from);
            let login = database.and_then(|one| one.migrations_of(one.services().first()?));
            Server::Outside(login.map_or(5432, |login| login.port))
        };
        match &self.from {
            Home::Platform(name) => match self.context.platforms.get(&ObjectRef::new(name)) {
                Some(one) if one.spec.database.provider == platform::Provider::External => outside(),
                _ => embedded,
            },
            Home::Instance(name) => {
                let instance = self.context.instances.get(&ObjectRef::new(name));
                match instance.map(|one| one.spec.database.provider) {
                    Some(instance::Provider::External) => outside(),
                    Some(instance::Provider::CloudNativePg) => {
                        Server::Pods(cloudnative_pg::POD_LABEL, cloudnative_pg::NAME)
                    }
                    _ => embedded,
                }
            }
        }
    }
}

/// Drops the logins of copies on the home's server of whose tenant no copy is under way there: a crash, or a server that was away
/// when the copy ended, has left them.
pub async fn drop_stale_logins(home: &Home, database: &Database, context: &Context) -> Result<(), postgres::Error> {
    for role in database.copied_roles().await? {
        let Some(name) = role.strip_prefix("t_").map(|name| name.replace('_', "-")) else { continue };
        let tenant = context.tenants.get(&ObjectRef::new(&name));
        if !tenant.is_some_and(|tenant| is_copied(&tenant, home, context)) {
            // One that can't be dropped keeps no other.
            if let Err(error) = database.drop_copy_login(&name).await {
                warn!(%home, tenant = name, %error, "the login that a copy has left can't be dropped yet");
            }
        }
    }
    Ok(())
}

/// Whether a copy of the tenant is under way from or to the home.
fn is_copied(tenant: &Tenant, home: &Home, context: &Context) -> bool {
    let relocation = context.unseen.status_of(tenant).and_then(|status| status.relocation);
    relocation.is_some_and(|relocation| {
        relocation.phase == MovePhase::Copying
            && [&relocation.from, &relocation.to].into_iter().any(|one| plan::home(one) == *home)
    })
}

/// Lets a tenant's data be written to again in all services of a home.
pub async fn thaw(database: &Database, role: &Identifier) -> Result<(), Error> {
    try_join_all(database.services().into_iter().map(|service| database.thaw(service, role))).await?;
    Ok(())
}

/// What makes the notes on withdrawn services there as they are here.
fn withdrawals(relocation: &Relocation, here: &TenantData, there: &TenantData) -> Vec<Step> {
    let mut steps = Vec::new();
    for service in &relocation.services {
        let (wanted, present) = (here.withdrawn.get(service), there.withdrawn.get(service));
        if wanted == present {
            continue;
        }
        steps.extend(present.map(|_| Step::EndWithdrawal { service: service.clone() }));
        steps.extend(wanted.map(|until| Step::Withdraw { service: service.clone(), until: *until }));
    }
    steps
}

/// Milliseconds since writes were stopped.
fn since_frozen(relocation: &Relocation) -> i64 {
    let frozen = relocation.frozen_at.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let passed = frozen.and_then(|frozen| Duration::try_from(Timestamp::now().duration_since(frozen)).ok());
    i64::try_from(passed.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn disconnected(home: &Home) -> Outcome {
    Outcome::Waits(format!("the Postgres of {home} is not connected"))
}
