//! Isolation, tried all the time: on a schedule the operator attacks what it made, from within each platform and instance, and
//! says whether anything got through.
//!
//! Two attacks at each turn: `database` in Postgres, as the services' own logins; [`network`] by a Job from a pod without
//! rights, at other homes' addresses and with tokens that nobody may accept. The Job stays until the next turn: it is what remembers when the
//! last one was, so that a restart of the operator neither forgets nor repeats it.

mod database;
mod foreign;
pub mod network;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use easycode_contract::probe::ProbeReport;
use easycode_crds::conditions::{self, Finding, reason};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    kubernetes::{job, labels, object::Kind},
    postgres::Database,
    runtime::{context::Context, error::Error},
    stack::home::Home,
    tenant::placement::tenants_on,
};

/// Time between two looks at whether a turn is due or done.
const TICK: Duration = Duration::from_secs(15);

/// For how long a turn of one home may take, and how many homes have theirs at once.
const LONGEST_TURN: Duration = Duration::from_mins(1);
const AT_ONCE: usize = 4;

/// After how many intervals without a turn nothing is said any more.
const STALE: u32 = 3;

/// What the last turn at a home showed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    at: Timestamp,
    /// Tenants that were there.
    tenants: BTreeSet<String>,
    report: ProbeReport,
}

/// What the last turns showed, by home.
#[derive(Default)]
pub struct Isolation(RwLock<HashMap<Home, Verdict>>);

impl Isolation {
    /// What is to be said of a home, if it was tried.
    #[must_use]
    pub fn of_home(&self, home: &Home, interval: Duration) -> Option<Finding> {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(home).map(|verdict| finding(verdict, interval, Timestamp::now()))
    }

    /// What is to be said of a tenant that lives there, if it did when it was tried.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str, home: &Home, interval: Duration) -> Option<Finding> {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let verdict = verdicts.get(home).filter(|verdict| verdict.tenants.contains(tenant))?;
        Some(finding(verdict, interval, Timestamp::now()))
    }

    /// Keeps a verdict. Returns whether it is another than before.
    fn keep(&self, home: &Home, verdict: &Verdict) -> bool {
        let mut verdicts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(home.clone(), verdict.clone()).as_ref() != Some(verdict)
    }

    fn knows(&self, home: &Home, at: Timestamp) -> bool {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(home).is_some_and(|verdict| verdict.at == at)
    }
}

fn finding(verdict: &Verdict, interval: Duration, now: Timestamp) -> Finding {
    let report = &verdict.report;
    let age = Duration::try_from(now.duration_since(verdict.at)).unwrap_or_default();
    let finding = |status, reason, message| Finding::new(conditions::ISOLATION_VERIFIED, status, reason, message);
    let at = verdict.at;
    if !report.breaches.is_empty() {
        let message = format!("at {at} something got through: {}", report.breaches.join("; "));
        return finding(Some(false), reason::ISOLATION_BREACHED, message);
    }
    if age > interval.saturating_mul(STALE) {
        let message =
            format!("it was last tried at {at}, and not since; see the Job {} in its namespace", network::JOB);
        return finding(None, reason::PROBE_INCOMPLETE, message);
    }
    if report.enforced == Some(false) {
        let message = format!(
            "at {at} {} attempts in the database and with forged tokens were refused; the cluster enforces no NetworkPolicy, so of the network nothing can be said",
            report.attempts
        );
        return finding(None, reason::NETWORK_NOT_ENFORCED, message);
    }
    if !report.untried.is_empty() || report.enforced.is_none() {
        let message = format!(
            "at {at} {} attempts were refused, but not all was tried: {}",
            report.attempts,
            report.untried.join("; ")
        );
        return finding(None, reason::PROBE_INCOMPLETE, message);
    }
    finding(Some(true), reason::AS_PLANNED, format!("at {at} all {} attempts were refused", report.attempts))
}

/// Tries every home on its schedule, for ever.
pub async fn watch(context: Arc<Context>) {
    loop {
        tokio::time::sleep(TICK).await;
        stream::iter(context.homes()).for_each_concurrent(AT_ONCE, |home| try_home(home, &context)).await;
    }
}

/// A home's turn. A Postgres that takes connections and says nothing must not keep the others from theirs.
async fn try_home(home: Home, context: &Context) {
    match timeout(LONGEST_TURN, turn(&home, context)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%home, %error, "isolation could not be tried, retrying"),
        Err(_) => warn!(%home, "trying isolation took too long, retrying"),
    }
}

/// Begins a turn that is due, or takes in one that is done.
async fn turn(home: &Home, context: &Context) -> Result<(), Error> {
    let Some(database) = context.databases.get(home) else { return Ok(()) };
    let namespace = home.namespace();
    let requested = context.annotation(home, labels::PROBE_ISOLATION);
    let Some(live) = context.caches.get(Kind::Job, &namespace, network::JOB) else {
        if let Some(planned) = network::job(home, requested.as_deref(), context) {
            if let Some(foreign) = foreign::secret(home, context).await? {
                context.applier.apply(&foreign, &context.caches).await?;
            }
            context.applier.apply(&planned, &context.caches).await?;
        }
        return Ok(());
    };
    let Some(done) = job::ended(&live) else { return Ok(()) };
    let age = Duration::try_from(Timestamp::now().duration_since(done)).unwrap_or_default();
    let asked = requested.is_some_and(|value| live.annotations().get(labels::PROBE_ISOLATION) != Some(&value));
    if age >= context.options.probe_interval() || asked {
        context.applier.delete(Kind::Job, &namespace, network::JOB).await?;
        return Ok(());
    }
    if context.isolation.knows(home, done) {
        return Ok(());
    }
    let tenants = tenants_on(home, context);
    let report = both(&database, network::report(&namespace, context).await?, &tenants).await;
    let breached = !report.breaches.is_empty();
    context.metrics.isolation(&home.to_string(), breached);
    let verdict = Verdict { at: done, tenants: tenants.iter().cloned().collect(), report };
    if context.isolation.keep(home, &verdict) {
        if breached {
            tell(home, &tenants, context).await;
        }
        context.triggers.home(home);
        for tenant in &tenants {
            context.triggers.tenant(tenant);
        }
    }
    Ok(())
}

async fn both(database: &Database, mut report: ProbeReport, tenants: &[String]) -> ProbeReport {
    match database::attempt(database, tenants).await {
        Ok(found) => {
            report.attempts += found.attempts;
            report.breaches.extend(found.breaches);
            report.untried.extend(found.untried);
        }
        Err(error) => report.untried.push(format!("in the database: {error}")),
    }
    report
}

/// An event at the home and at each tenant there, whose conditions say what it is.
async fn tell(home: &Home, tenants: &[String], context: &Context) {
    let Some(finding) = context.isolation.of_home(home, context.options.probe_interval()) else { return };
    for tenant in tenants.iter().filter_map(|tenant| context.tenants.get(&ObjectRef::new(tenant))) {
        context.events.warning(&*tenant, "Probe", finding.reason, finding.message.clone()).await;
    }
    match home {
        Home::Platform(name) => {
            if let Some(platform) = context.platforms.get(&ObjectRef::new(name)) {
                context.events.warning(&*platform, "Probe", finding.reason, finding.message).await;
            }
        }
        Home::Instance(name) => {
            if let Some(instance) = context.instances.get(&ObjectRef::new(name)) {
                context.events.warning(&*instance, "Probe", finding.reason, finding.message).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_hours(6);

    fn said(report: ProbeReport) -> (Option<bool>, &'static str) {
        let verdict = Verdict { at: Timestamp::UNIX_EPOCH, tenants: BTreeSet::new(), report };
        let finding = finding(&verdict, INTERVAL, Timestamp::UNIX_EPOCH);
        assert!(finding.message.contains("1970-01-01"), "{}", finding.message);
        (finding.status, finding.reason)
    }

    #[test]
    fn it_is_verified_only_if_all_was_tried_and_refused() {
        let refused = ProbeReport { attempts: 7, enforced: Some(true), ..ProbeReport::default() };
        assert_eq!(said(refused.clone()), (Some(true), reason::AS_PLANNED));
        let open = ProbeReport { enforced: Some(false), ..refused.clone() };
        assert_eq!(said(open), (None, reason::NETWORK_NOT_ENFORCED));
        let untold = ProbeReport { enforced: None, ..refused.clone() };
        assert_eq!(said(untold), (None, reason::PROBE_INCOMPLETE));
        let old = Verdict { at: Timestamp::UNIX_EPOCH, tenants: BTreeSet::new(), report: refused.clone() };
        let later = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(19);
        assert_eq!(finding(&old, INTERVAL, later).reason, reason::PROBE_INCOMPLETE);
        let partly = ProbeReport { untried: vec!["x".into()], ..refused.clone() };
        assert_eq!(said(partly), (None, reason::PROBE_INCOMPLETE));
        let through = ProbeReport { breaches: vec!["x".into()], enforced: Some(false), ..refused };
        assert_eq!(said(through), (Some(false), reason::ISOLATION_BREACHED));
    }

    #[test]
    fn a_tenant_that_was_not_there_is_not_spoken_of() {
        let isolation = Isolation::default();
        let home = Home::Platform("eu1".into());
        let verdict = Verdict {
            at: Timestamp::UNIX_EPOCH,
            tenants: BTreeSet::from(["aurora".to_owned()]),
            report: ProbeReport::default(),
        };
        assert!(isolation.keep(&home, &verdict));
        assert!(!isolation.keep(&home, &verdict));
        assert!(isolation.of_tenant("aurora", &home, INTERVAL).is_some());
        assert!(isolation.of_tenant("borealis", &home, INTERVAL).is_none());
        assert!(isolation.of_home(&Home::Instance("eu1".into()), INTERVAL).is_none());
    }
}
