//! The work of each phase. All of it may be done again from the beginning, which is what happens after a crash.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, instance, platform,
    tenant::{MovePhase, Relocation},
};
use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams, runtime::reflector::ObjectRef};

use super::{
    check,
    job::{Server, Way},
    plan,
};
use crate::{
    audit,
    kubernetes::{job, object::Kind},
    postgres::{
        Database,
        audit::{Account, Record},
        plan::{self as database_plan, Step},
        survey::TenantData,
    },
    runtime::{context::Context, error::Error},
    stack::{
        home::Home,
        plan::{cloudnative_pg, postgres as embedded},
    },
    tenant::config_map_name,
};

/// For how long a home that was left can still be read, so that nobody comes to a home that does not know the tenant yet or
/// any more.
const GRACE_MS: i64 = 2_000;

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
    /// Does the work of the phase, and notes in the move what is to be told of it.
    pub async fn act(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        match relocation.phase {
            MovePhase::Preparing => Ok(self.prepare(relocation)),
            MovePhase::Freezing => self.freeze(relocation).await,
            MovePhase::Copying => self.copy(relocation).await,
            MovePhase::Verifying => self.verify(relocation).await,
            MovePhase::CuttingOver => self.close(relocation).await,
            MovePhase::Cancelling => self.thaw(&self.from, relocation).await,
            MovePhase::Clearing => self.clear(relocation).await,
            MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed => Ok(Outcome::Done),
        }
    }

    fn prepare(&self, relocation: &mut Relocation) -> Outcome {
        if !self.settled {
            return Outcome::Waits(format!("the tenant is not in order on {} yet", self.from));
        }
        match check::services(self.tenant, &self.role, &self.from, &self.to, self.context) {
            Ok(services) => {
                relocation.services = services;
                Outcome::Done
            }
            Err(why) => Outcome::Waits(why),
        }
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
        let (Some(source), Some(target)) = (context.databases.get(&self.from), context.databases.get(&self.to)) else {
            return Ok(Outcome::Waits(format!("the Postgres of {} or {} is not connected", self.from, self.to)));
        };
        let namespace = self.to.namespace();
        let Some(live) = context.caches.get(Kind::Job, &namespace, &way.job_name()) else {
            let Some(seen) = context.seen(&self.to) else {
                return Ok(Outcome::Waits(format!("the services of {} do not run", self.to)));
            };
            self.make_room(relocation, &source.tenant(&self.role), &target).await?;
            for policy in way.policies(&self.server()) {
                context.applier.apply(&policy, &context.caches).await?;
            }
            context.applier.apply(&way.job(&self.role, &seen.nodes, context), &context.caches).await?;
            self.hand_over(&way, &source, &target).await?;
            return Ok(Outcome::Waits("the job starts".to_owned()));
        };
        match job::succeeded(&live) {
            Some(true) => return Ok(Outcome::Done),
            Some(false) => {
                return Ok(Outcome::Failed(format!(
                    "the copy failed; its last words: {}",
                    self.last_words(&way).await?.unwrap_or_else(|| "none".to_owned())
                )));
            }
            None => {}
        }
        self.hand_over(&way, &source, &target).await?;
        let failed = live.data["status"]["failed"].as_i64().unwrap_or_default();
        let trials = if failed > 0 { format!(", trial {}", failed + 1) } else { String::new() };
        Ok(Outcome::Waits(format!("job {namespace}/{} runs{trials}", way.job_name())))
    }

    /// What the job's last pod printed at its end.
    async fn last_words(&self, way: &Way<'_>) -> Result<Option<String>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.to.namespace());
        let pods = pods.list(&ListParams::default().labels(&way.selector())).await?.items;
        let newest = pods.into_iter().max_by_key(|pod| pod.metadata.creation_timestamp.clone());
        let statuses = newest.and_then(|pod| pod.status?.container_statuses);
        let words = statuses.into_iter().flatten().find_map(|one| one.state?.terminated?.message);
        Ok(words.map(|words| words.trim().replace('\n', "; ")))
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
        for service in &relocation.services {
            match (here.withdrawn.get(service), there.withdrawn.get(service)) {
                (Some(until), None) => steps.push(Step::Withdraw { service: service.clone(), until: *until }),
                (None, Some(_)) => steps.push(Step::EndWithdrawal { service: service.clone() }),
                _ => {}
            }
        }
        if !steps.is_empty() {
            target.bring(&self.role, steps, self.account()).await?;
        }
        try_join_all(relocation.services.iter().map(|service| target.forget_copy(service, &self.role))).await?;
        Ok(())
    }

    /// Gives the job its logins, as soon as it can own them.
    async fn hand_over(&self, way: &Way<'_>, source: &Database, target: &Database) -> Result<(), Error> {
        let (context, namespace, name) = (self.context, self.to.namespace(), way.job_name());
        if context.applier.api(Kind::Secret, &namespace).get_opt(&name).await?.is_some() {
            return Ok(());
        }
        let Some(job) = context.applier.api(Kind::Job, &namespace).get_opt(&name).await? else { return Ok(()) };
        let logins = way.relocation.services.iter().flat_map(|service| {
            let named = |side: &str, database: &Database| {
                database.migrations_of(service).map(|login| (format!("{side}-{service}"), login))
            };
            [named("from", source), named("to", target)].into_iter().flatten()
        });
        let secret = way.secret(&logins.collect::<Vec<_>>(), &job.uid().unwrap_or_default());
        context.applier.apply(&secret, &context.caches).await?;
        Ok(())
    }

    async fn verify(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let databases = &self.context.databases;
        let (Some(source), Some(target)) = (databases.get(&self.from), databases.get(&self.to)) else {
            return Ok(Outcome::Waits(format!("the Postgres of {} or {} is not connected", self.from, self.to)));
        };
        source.refresh().await?;
        let (here, published) = (source.tenant(&self.role), target.published());
        for service in &relocation.services {
            let (version, offered) = (here.schemas.get(service), published.get(service));
            let Some(version) = version.filter(|version| offered == Some(version)) else {
                return Ok(Outcome::Failed(format!(
                    "{service} was brought to another release meanwhile: its schema has version {} on {} and {} on {}",
                    version.copied().unwrap_or_default(),
                    self.from,
                    offered.copied().unwrap_or_default(),
                    self.to
                )));
            };
            target.register_copy(service, &self.role, *version).await?;
        }
        target.refresh().await?;
        let (mut tables, mut rows) = (0, 0);
        for service in &relocation.services {
            let (original, copy) =
                try_join(source.fingerprint(service, &self.role), target.fingerprint(service, &self.role)).await?;
            if let Some(difference) = original.difference(&copy) {
                return Ok(Outcome::Failed(format!("the copy of {service} is not equal: {difference}")));
            }
            tables += original.tables.len();
            rows += original.rows();
        }
        relocation.tables = i32::try_from(tables).ok();
        relocation.rows = Some(rows);
        Ok(Outcome::Done)
    }

    /// Closes the home that the tenant has left, once the new one serves.
    async fn close(&self, relocation: &mut Relocation) -> Result<Outcome, Error> {
        let frozen = relocation.frozen_at.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let passed = frozen.and_then(|frozen| Duration::try_from(Timestamp::now().duration_since(frozen)).ok());
        let passed = i64::try_from(passed.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
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
            // Nobody acts as the tenant there any more, but for migrations, which must be able to.
            if let Outcome::Waits(why) = self.thaw(&self.from, relocation).await? {
                return Ok(Outcome::Waits(why));
            }
            self.record(&source, relocation).await?;
        }
        if let Some(target) = context.databases.get(&self.to) {
            self.record(&target, relocation).await?;
        }
        self.remove_objects(relocation).await
    }

    async fn thaw(&self, home: &Home, relocation: &Relocation) -> Result<Outcome, Error> {
        let Some(database) = self.context.databases.get(home) else { return Ok(disconnected(home)) };
        let services = database.services();
        let there = relocation.services.iter().filter(|service| services.contains(&service.as_str()));
        try_join_all(there.map(|service| database.thaw(service, &self.role))).await?;
        Ok(Outcome::Done)
    }

    /// Removes what the move has made.
    async fn clear(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        if let Outcome::Waits(why) = self.remove_objects(relocation).await? {
            return Ok(Outcome::Waits(why));
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
        // A copy has no version until it is complete.
        let services = target.services();
        let begun = relocation.services.iter().filter(|service| services.contains(&service.as_str()));
        copy.schemas.extend(begun.map(|service| (service.clone(), 0)));
        target.bring(&self.role, database_plan::erase(&copy), self.account()).await?;
        target.refresh().await?;
        let left = target.tenant(&self.role);
        target.bring(&self.role, database_plan::forget(&left), self.account()).await?;
        Ok(Outcome::Done)
    }

    /// Ends the job, and shuts its way.
    async fn remove_objects(&self, relocation: &Relocation) -> Result<Outcome, Error> {
        let (context, way) = (self.context, self.way(relocation));
        for home in [&self.from, &self.to] {
            let (namespace, policy) = (home.namespace(), way.policy_name());
            if context.caches.get(Kind::NetworkPolicy, &namespace, &policy).is_some() {
                context.applier.delete(Kind::NetworkPolicy, &namespace, &policy).await?;
            }
        }
        let namespace = self.to.namespace();
        if context.caches.get(Kind::Namespace, "", &namespace).is_none() {
            return Ok(Outcome::Done);
        }
        // Asked for by name even if the cache does not show it yet: a job that goes on would write to what is erased.
        context.applier.delete(Kind::Job, &namespace, &way.job_name()).await?;
        let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
        let left = pods.list(&ListParams::default().labels(&way.selector())).await?.items;
        if left.is_empty() { Ok(Outcome::Done) } else { Ok(Outcome::Waits("the job's pod ends".to_owned())) }
    }

    /// Tells the audit trail of the move.
    async fn record(&self, database: &Arc<Database>, relocation: &Relocation) -> Result<(), Error> {
        let words = format!("move the tenant from {} to {}", self.from, self.to);
        let once = format!("move/{}", relocation.started_at.as_deref().unwrap_or_default());
        database.record(&[Record::of_act(&audit::subject(self.tenant), "Move", &words, Some(&once))]).await?;
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

fn disconnected(home: &Home) -> Outcome {
    Outcome::Waits(format!("the Postgres of {home} is not connected"))
}
