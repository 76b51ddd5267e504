//! Isolation, tried all the time: on a schedule the operator attacks what it made, from within each platform and instance, and
//! says whether anything got through.
//!
//! Two attacks at each turn: `database` in Postgres, as the services' own logins; [`network`] by a Job from a pod without
//! rights, at other homes' addresses and with tokens that nobody may accept. The Job stays until the next turn: it is what remembers when the
//! last one was, so that a restart of the operator neither forgets nor repeats it.

mod database;
mod foreign;
pub mod network;
mod policies;

use std::{
    collections::{BTreeSet, HashMap},
    future::ready,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use easycode_contract::probe::ProbeReport;
use easycode_crds::{
    Tenant,
    conditions::{self, Finding, reason},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use tokio::time::{Instant, timeout};
use tracing::warn;

use self::policies::Opened;
use crate::{
    kubernetes::{job, labels, object::Kind},
    postgres::Database,
    runtime::{context::Context, error::Error},
    stack::{
        apply::pods::NAMES_WAY_OUT,
        home::{Home, HomeObject},
    },
    tenant::placement::tenants_on,
};

/// Time between two looks at whether a turn is due or done.
const TICK: Duration = Duration::from_secs(5);
/// Time before a home is looked at again whose turn has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Time between two looks at others' network policies: they are not watched, since most in a cluster are nowhere near a home.
const POLICIES: Duration = Duration::from_mins(1);

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

/// What the last turns showed, by home, and what others' policies let through beside that.
#[derive(Default)]
pub struct Isolation {
    verdicts: RwLock<HashMap<Home, Verdict>>,
    opened: RwLock<Opened>,
}

impl Isolation {
    /// What is to be said of a home that was made then, beside what was said `before`, if anything is.
    #[must_use]
    pub fn of_home(
        &self,
        home: &Home,
        made: Option<Timestamp>,
        before: &[Condition],
        interval: Duration,
    ) -> Option<Finding> {
        self.say(Some(home), None, made, before, interval)
    }

    /// What is to be said of a tenant that lives there, beside what was said before, if anything is.
    #[must_use]
    pub fn of_tenant(&self, tenant: &Tenant, home: Option<&Home>, interval: Duration) -> Option<Finding> {
        let before = tenant.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let came = home.and_then(|home| came(tenant, home));
        self.say(home, Some(&tenant.name_any()), came, before, interval)
    }

    /// A verdict from before `since` is of another object of the name, or of the time before the tenant came.
    fn say(
        &self,
        home: Option<&Home>,
        tenant: Option<&str>,
        since: Option<Timestamp>,
        before: &[Condition],
        interval: Duration,
    ) -> Option<Finding> {
        let (now, verdicts) = (Timestamp::now(), self.verdicts.read().unwrap_or_else(PoisonError::into_inner));
        let of_it = |verdict: &&Verdict| {
            since.is_none_or(|since| since <= verdict.at) && tenant.is_none_or(|name| verdict.tenants.contains(name))
        };
        match home.and_then(|home| verdicts.get(home)).filter(of_it) {
            Some(verdict) => {
                let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
                let by = home.and_then(|home| opened.get(&home.namespace())).map(Vec::as_slice).unwrap_or_default();
                Some(finding(verdict, by, interval, now))
            }
            None => outdated(before, since, interval, now),
        }
    }

    /// Keeps which policies of others open which namespaces. Returns the namespaces of which that is news.
    fn opened(&self, now: Opened) -> BTreeSet<String> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *opened, now);
        let concerned = before.keys().chain(opened.keys());
        concerned.filter(|namespace| before.get(*namespace) != opened.get(*namespace)).cloned().collect()
    }

    /// Keeps a verdict. Returns whether it is another than before.
    fn keep(&self, home: &Home, verdict: &Verdict) -> bool {
        let mut verdicts = self.verdicts.write().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(home.clone(), verdict.clone()).as_ref() != Some(verdict)
    }

    /// Forgets the homes whose verdict is not of them: those that are no more, and those made anew under their name. `made` tells
    /// when one that is there was. Returns which.
    fn forget(&self, made: impl Fn(&Home) -> Option<Timestamp>) -> Vec<Home> {
        let mut verdicts = self.verdicts.write().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |home: &Home, verdict: &mut Verdict| made(home).is_none_or(|made| verdict.at < made);
        verdicts.extract_if(is_gone).map(|(home, _)| home).collect()
    }

    fn knows(&self, home: &Home, at: Timestamp) -> bool {
        let verdicts = self.verdicts.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(home).is_some_and(|verdict| verdict.at == at)
    }
}

/// When a tenant came to live there, as far as that is known.
fn came(tenant: &Tenant, home: &Home) -> Option<Timestamp> {
    let move_ = tenant.status.as_ref().and_then(|status| status.relocation.as_ref());
    let move_ = move_.filter(|move_| move_.to.kind == home.kind() && move_.to.name == home.name());
    let cut_over = move_.and_then(|move_| move_.cut_over_at.as_deref()?.parse().ok());
    cut_over.max(tenant.creation_timestamp().map(|created| created.0))
}

/// Whether a tenant that lives there now did so then already, as far as that is known.
fn was_there(tenant: &Tenant, home: &Home, then: Timestamp) -> bool {
    let said = tenant.status.iter().flat_map(|status| &status.conditions);
    let placed = said.filter(|one| one.type_ == conditions::PLACED && one.status == "True");
    let since = placed.map(|one| one.last_transition_time.0).max();
    came(tenant, home).max(since).is_none_or(|since| since <= then)
}

/// What is to be said where nothing is known of a turn, after a start of the operator say: what was said before holds on, unless
/// it is of the time before `since`, or too old. It tells by itself of when it is.
fn outdated(before: &[Condition], since: Option<Timestamp>, interval: Duration, now: Timestamp) -> Option<Finding> {
    let said = before.iter().find(|one| one.type_ == conditions::ISOLATION_VERIFIED)?;
    let at: Timestamp = said.message.split([' ', ',']).find_map(|word| word.parse().ok())?;
    if since.is_some_and(|since| at < since) {
        let message = format!("it was last tried at {at}, before it came here; it is tried here at the next turn");
        return Some(untried(message));
    }
    (said.status != "False" && is_stale(at, interval, now)).then(|| stale(at))
}

fn is_stale(at: Timestamp, interval: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(at)).unwrap_or_default() > interval.saturating_mul(STALE)
}

fn stale(at: Timestamp) -> Finding {
    untried(format!("it was last tried at {at}, and not since; see the Job {} in its namespace", network::JOB))
}

fn untried(message: String) -> Finding {
    Finding::new(conditions::ISOLATION_VERIFIED, None, reason::PROBE_INCOMPLETE, message)
}

fn finding(verdict: &Verdict, opened_by: &[String], interval: Duration, now: Timestamp) -> Finding {
    let report = &verdict.report;
    let finding = |status, reason, message| Finding::new(conditions::ISOLATION_VERIFIED, status, reason, message);
    let at = verdict.at;
    if !report.breaches.is_empty() {
        let message = format!("at {at} something got through: {}", report.breaches.join("; "));
        return finding(Some(false), reason::ISOLATION_BREACHED, message);
    }
    if is_stale(at, interval, now) {
        return stale(at);
    }
    if let Some(why) = &report.unresolved {
        let message = format!("at {at} no name was resolved for the probe's pod ({why}); {NAMES_WAY_OUT}");
        return finding(None, reason::NAMES_NOT_RESOLVED, message);
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
        return untried(message);
    }
    if !opened_by.is_empty() {
        let message = format!(
            "at {at} all {} attempts were refused, but NetworkPolicy {} is not EasyCode's and opens the namespace further than was tried; delete it, or name what is to be reached in the spec",
            report.attempts,
            opened_by.join(", ")
        );
        return finding(None, reason::OPENED_BY_POLICY, message);
    }
    finding(Some(true), reason::AS_PLANNED, format!("at {at} all {} attempts were refused", report.attempts))
}

/// Tries every home on its schedule, for ever.
pub async fn watch(context: Arc<Context>) {
    let mut put_off: HashMap<Home, Instant> = HashMap::new();
    let mut look_for_policies = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        if look_for_policies <= Instant::now() {
            look_for_policies = Instant::now() + POLICIES;
            if let Err(error) = policies(&context).await {
                warn!(%error, "others' network policies could not be listed, trying again");
            }
        }
        for gone in context.isolation.forget(|home| made(home, &context)) {
            context.metrics.forget_isolation(&gone.to_string());
        }
        put_off.retain(|_, end| *end > Instant::now());
        let homes = context.homes().into_iter().filter(|home| !put_off.contains_key(home));
        let turns = stream::iter(homes).map(|home| async { (!try_home(&home, &context).await).then_some(home) });
        let failed: Vec<_> = turns.buffer_unordered(AT_ONCE).filter_map(ready).collect().await;
        put_off.extend(failed.into_iter().map(|home| (home, Instant::now() + AFTER_FAILURE)));
    }
}

/// When the home was made, if it is there.
fn made(home: &Home, context: &Context) -> Option<Timestamp> {
    context.object_of(home)?.meta().creation_timestamp.as_ref().map(|time| time.0)
}

/// A home's turn, and whether it went well. A Postgres that takes connections and says nothing must not keep the others from theirs.
async fn try_home(home: &Home, context: &Context) -> bool {
    match timeout(LONGEST_TURN, turn(home, context)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => warn!(%home, %error, "isolation could not be tried, retrying"),
        Err(_) => warn!(%home, "trying isolation took too long, retrying"),
    }
    false
}

/// Looks at the policies of others, and tells of those that open a home's namespace.
async fn policies(context: &Context) -> Result<(), Error> {
    let news = context.isolation.opened(policies::opening(&context.homes(), &context.client).await?);
    for home in context.homes().into_iter().filter(|home| news.contains(&home.namespace())) {
        let tenants = tenants_on(&home, context);
        let said = context.isolation.of_home(&home, made(&home, context), &[], context.options.probe_interval());
        if said.is_some_and(|said| said.reason == reason::OPENED_BY_POLICY) {
            tell(&home, &tenants, context).await;
        }
        context.triggers.home(&home);
        for tenant in &tenants {
            context.triggers.tenant(tenant);
        }
    }
    Ok(())
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
    let is_of_another = made(home, context).is_some_and(|made| done < made);
    let asked = requested.is_some_and(|value| live.annotations().get(labels::PROBE_ISOLATION) != Some(&value));
    if age >= context.options.probe_interval() || asked || is_of_another {
        context.applier.delete(Kind::Job, &namespace, network::JOB).await?;
        return Ok(());
    }
    if context.isolation.knows(home, done) {
        return Ok(());
    }
    let mut tenants = tenants_on(home, context);
    // After a start of the operator the Job is an old one.
    tenants
        .retain(|name| context.tenants.get(&ObjectRef::new(name)).is_some_and(|tenant| was_there(&tenant, home, done)));
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
    let (made, interval) = (made(home, context), context.options.probe_interval());
    let Some(finding) = context.isolation.of_home(home, made, &[], interval) else { return };
    for tenant in tenants.iter().filter_map(|tenant| context.tenants.get(&ObjectRef::new(tenant))) {
        context.events.warning(&*tenant, "Probe", finding.reason, finding.message.clone()).await;
    }
    match context.object_of(home) {
        Some(HomeObject::Platform(platform)) => {
            context.events.warning(&*platform, "Probe", finding.reason, finding.message).await;
        }
        Some(HomeObject::Instance(instance)) => {
            context.events.warning(&*instance, "Probe", finding.reason, finding.message).await;
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    const INTERVAL: Duration = Duration::from_hours(6);

    fn said(report: ProbeReport) -> (Option<bool>, &'static str) {
        let verdict = Verdict { at: Timestamp::UNIX_EPOCH, tenants: BTreeSet::new(), report };
        let finding = finding(&verdict, &[], INTERVAL, Timestamp::UNIX_EPOCH);
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
        let later = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(19);
        assert_eq!(finding(&old, &[], INTERVAL, later).reason, reason::PROBE_INCOMPLETE);
        let silent = ProbeReport { enforced: None, unresolved: Some("no answer".into()), ..refused.clone() };
        assert_eq!(said(silent), (None, reason::NAMES_NOT_RESOLVED));
        let partly = ProbeReport { untried: vec!["x".into()], ..refused.clone() };
        assert_eq!(said(partly), (None, reason::PROBE_INCOMPLETE));
        let through = ProbeReport { breaches: vec!["x".into()], enforced: Some(false), ..refused };
        assert_eq!(said(through), (Some(false), reason::ISOLATION_BREACHED));
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    fn eu1() -> Home {
        Home::Platform("eu1".into())
    }

    /// A verdict on a home with `aurora` in it, at an hour.
    fn verdict(hours: i64) -> Verdict {
        let report = ProbeReport { attempts: 7, enforced: Some(true), ..ProbeReport::default() };
        Verdict { at: at(hours), tenants: BTreeSet::from(["aurora".to_owned()]), report }
    }

    /// A tenant that was created at an hour, and moved to `eu1` at another.
    fn tenant(name: &str, created: i64, moved: Option<i64>) -> Tenant {
        let mut tenant = Tenant::new(name, serde_json::from_value(json!({ "displayName": "A" })).unwrap());
        tenant.metadata.creation_timestamp = Some(Time(at(created)));
        let relocation = moved.map(|hours| {
            json!({ "from": { "kind": "DedicatedInstance", "name": "eu1" }, "to": { "kind": "SharedPlatform", "name": "eu1" },
                "phase": "CuttingOver", "cutOverAt": at(hours).to_string() })
        });
        tenant.status = Some(serde_json::from_value(json!({ "move": relocation })).unwrap());
        tenant
    }

    fn told(finding: &Finding, at: Timestamp) -> Vec<Condition> {
        conditions::merge(&[], std::slice::from_ref(finding), None, &Time(at))
    }

    #[test]
    fn a_tenant_that_was_not_there_is_not_spoken_of() {
        let (isolation, now) = (Isolation::default(), Timestamp::now().as_second() / 3600);
        let of = |tenant: &Tenant| isolation.of_tenant(tenant, Some(&eu1()), INTERVAL).map(|said| said.status);
        assert!(isolation.keep(&eu1(), &verdict(now)));
        assert!(!isolation.keep(&eu1(), &verdict(now)));
        assert_eq!(of(&tenant("aurora", now - 9, None)), Some(Some(true)));
        assert_eq!(of(&tenant("aurora", now - 9, Some(now - 1))), Some(Some(true)));
        assert_eq!(of(&tenant("borealis", now - 9, None)), None);
        assert_eq!(of(&tenant("aurora", now + 1, None)), None, "another of the name");
        assert_eq!(of(&tenant("aurora", now - 9, Some(now + 1))), None, "it left and came back");
        assert!(isolation.of_tenant(&tenant("aurora", 0, None), None, INTERVAL).is_none());
        assert!(isolation.of_home(&Home::Instance("eu1".into()), None, &[], INTERVAL).is_none());
    }

    #[test]
    fn an_old_job_says_nothing_of_who_came_since() {
        let was_there = |tenant: &Tenant| was_there(tenant, &eu1(), at(5));
        assert!(was_there(&tenant("aurora", 5, None)) && was_there(&tenant("aurora", 1, Some(4))));
        assert!(!was_there(&tenant("aurora", 6, None)) && !was_there(&tenant("aurora", 1, Some(6))));
        let mut waited = tenant("aurora", 1, None);
        let mut place = |hours| {
            let placed = Finding::new(conditions::PLACED, Some(true), reason::AS_PLANNED, "on eu1");
            waited.status.as_mut().unwrap().conditions = told(&placed, at(hours));
            was_there(&waited)
        };
        assert!(place(4) && !place(6));
    }

    #[test]
    fn what_was_said_elsewhere_or_long_ago_holds_no_longer() {
        let found = |hours, now| finding(&verdict(hours), &[], INTERVAL, at(now));
        let said = |before: &Finding, since, now| outdated(&told(before, at(2)), since, INTERVAL, at(now));
        let verified = found(2, 2);
        // An operator that starts knows nothing of it, and need not say it again.
        assert_eq!(said(&verified, Some(at(1)), 20), None);
        assert_eq!(said(&verified, Some(at(1)), 21), Some(found(2, 21)));
        assert_eq!(outdated(&[], Some(at(3)), INTERVAL, at(21)), None);

        let moved = said(&verified, Some(at(3)), 4).unwrap();
        assert_eq!((moved.status, moved.reason), (None, reason::PROBE_INCOMPLETE));
        assert_eq!(said(&moved, Some(at(3)), 4), Some(moved.clone()), "said once");

        let report = ProbeReport { breaches: vec!["x".into()], ..ProbeReport::default() };
        let breached = finding(&Verdict { report, ..verdict(2) }, &[], INTERVAL, at(2));
        assert_eq!(said(&breached, None, 99), None, "it stays until another turn says otherwise");
        assert_eq!(said(&breached, Some(at(3)), 4), Some(moved));
    }

    #[test]
    fn a_policy_of_someone_elses_is_told_of_once_and_by_name() {
        let (isolation, now) = (Isolation::default(), Timestamp::now().as_second() / 3600);
        let said = || isolation.of_home(&eu1(), None, &[], INTERVAL).unwrap();
        let theirs = || Opened::from([("easycode-platform-eu1".to_owned(), vec!["theirs".to_owned()])]);
        isolation.keep(&eu1(), &verdict(now));
        assert_eq!(said().reason, reason::AS_PLANNED);
        assert_eq!(isolation.opened(theirs()), BTreeSet::from(["easycode-platform-eu1".to_owned()]));
        assert_eq!((said().status, said().reason), (None, reason::OPENED_BY_POLICY));
        assert!(said().message.contains("NetworkPolicy theirs "), "{}", said().message);
        assert!(isolation.opened(theirs()).is_empty());
        assert_eq!(isolation.opened(Opened::new()).len(), 1);
        assert_eq!(said().status, Some(true));
    }

    #[test]
    fn a_verdict_goes_with_its_home() {
        let (isolation, now) = (Isolation::default(), Timestamp::now().as_second() / 3600);
        let kept = || isolation.of_home(&eu1(), Some(at(now)), &[], INTERVAL).is_some();
        isolation.keep(&eu1(), &verdict(now));
        assert!(isolation.forget(|_| Some(at(now))).is_empty() && kept());
        assert!(isolation.of_home(&eu1(), Some(at(now + 1)), &[], INTERVAL).is_none(), "made anew");
        assert_eq!(isolation.forget(|_| Some(at(now + 1))), [eu1()]);
        isolation.keep(&eu1(), &verdict(now));
        assert_eq!(isolation.forget(|_| None), [eu1()]);
        assert!(!kept());
    }
}
