//! What is said of a stack as a whole, whichever resource asks for it: out of the findings at each stage.

use std::collections::BTreeMap;

use easycode_crds::{
    Release,
    conditions::{self, Finding, reason},
    platform::ServiceStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, api::DynamicObject};

use super::{apply::Applied, home::Home};
use crate::{
    kubernetes::{labels, object::Kind},
    runtime::context::Context,
};

/// Why a deletion has to wait.
pub struct Held {
    /// Condition reason.
    pub reason: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

impl Held {
    /// The findings of what is held.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        vec![
            Finding::new(conditions::READY, Some(false), self.reason, self.message.clone()),
            Finding::new(conditions::PROGRESSING, Some(true), self.reason, self.message.clone()),
            Finding::new(conditions::DEGRADED, Some(true), self.reason, self.message.clone()),
        ]
    }
}

/// Of the stages that the database keeps from being reached nothing is known: what was said of them would be kept as if it
/// were still seen.
#[must_use]
pub fn unreached(findings: &[Finding]) -> Vec<Finding> {
    let ground = findings.iter().find(|one| one.type_ == conditions::DATABASE_READY && one.status == Some(false));
    let Some(ground) = ground else { return Vec::new() };
    let stages = [conditions::MIGRATED, conditions::SERVICES_AVAILABLE].into_iter();
    let left = stages.filter(|stage| findings.iter().all(|one| one.type_ != *stage));
    left.map(|stage| Finding::new(stage, None, ground.reason, "not looked at while DatabaseReady is False")).collect()
}

/// What is said of the services: what was found, or, where the work ended before, what was known with the pods that there are now.
#[must_use]
pub fn services(applied: &Applied, before: &[ServiceStatus], home: &Home, context: &Context) -> Vec<ServiceStatus> {
    if !applied.services.is_empty() {
        return applied.services.clone();
    }
    let namespace = home.namespace();
    let live = |service: &str| context.caches.get(Kind::Deployment, &namespace, service);
    before.iter().map(|known| counted(known, live(&known.service).as_deref())).collect()
}

fn counted(known: &ServiceStatus, live: Option<&DynamicObject>) -> ServiceStatus {
    let available = live.and_then(|live| live.data["status"]["availableReplicas"].as_i64()).unwrap_or_default();
    ServiceStatus { available: i32::try_from(available).unwrap_or(i32::MAX), ..known.clone() }
}

/// What a spec says of services that the release lacks is of no effect: a sentence each, by name.
#[must_use]
pub fn unknown<'a>(named: impl Iterator<Item = &'a str>, release: &Release) -> BTreeMap<&'a str, String> {
    let version = &release.spec.version;
    let sentence = |name| {
        format!("{name} is no service of release {version}, so that what spec.services says of it is of no effect")
    };
    let lacks = |name: &&str| release.spec.services.iter().all(|one| one.name != *name);
    named.filter(lacks).map(|name| (name, sentence(name))).collect()
}

/// Whether workloads wait with a rendering of this operator.
#[must_use]
pub fn pending(applied: &Applied) -> Finding {
    if applied.pending.is_empty() {
        Finding::new(conditions::UPDATE_PENDING, Some(false), reason::AS_PLANNED, "nothing is pending")
    } else {
        let message = format!(
            "this operator renders {} differently; it is applied with the next release, or now if you annotate the object with {}=<anything new>",
            applied.pending.join(", "),
            labels::APPLY_PENDING
        );
        Finding::new(conditions::UPDATE_PENDING, Some(true), reason::OPERATOR_CHANGED, message)
    }
}

/// `Ready`, `Progressing` and `Degraded`, out of the other findings.
#[must_use]
pub fn summary(findings: &[Finding], applied: &Applied) -> Vec<Finding> {
    const ON_ITS_WAY: [&str; 4] = [reason::PROVISIONING, reason::MIGRATING, reason::ROLLING_OUT, reason::MOVING];
    let stages = || findings.iter().filter(|finding| finding.type_ != conditions::UPDATE_PENDING);
    let fault = applied.fault.as_ref();
    let trouble = fault
        .map(|fault| Finding::new(conditions::READY, Some(false), fault.reason(), fault.to_string()))
        .or_else(|| stages().find(|finding| finding.status == Some(false)).cloned())
        .or_else(|| stages().find(|finding| finding.status.is_none()).cloned());
    let Some(trouble) = trouble else {
        let progressing = match &applied.rotating {
            Some(rotating) => Finding::new(conditions::PROGRESSING, Some(true), reason::ROTATING, rotating.clone()),
            None => Finding::new(conditions::PROGRESSING, Some(false), reason::AS_PLANNED, "nothing to do"),
        };
        return vec![
            Finding::new(conditions::READY, Some(true), reason::AS_PLANNED, "all services serve"),
            progressing,
            Finding::new(conditions::DEGRADED, Some(false), reason::AS_PLANNED, "no trouble"),
        ];
    };
    let on_its_way = fault.is_none() && ON_ITS_WAY.contains(&trouble.reason);
    vec![
        Finding::new(conditions::READY, Some(false), trouble.reason, trouble.message.clone()),
        Finding::new(
            conditions::PROGRESSING,
            Some(on_its_way || fault.is_some()),
            trouble.reason,
            if on_its_way { "on its way" } else { "see Degraded" },
        ),
        Finding::new(conditions::DEGRADED, Some(!on_its_way), trouble.reason, trouble.message),
    ]
}

/// Tells what is new about readiness, and that credentials were renewed, as events.
pub async fn tell<K>(object: &K, before: &[Condition], findings: &[Finding], applied: &Applied, context: &Context)
where
    K: Resource<DynamicType = ()>,
{
    if let Some(rotated) = &applied.rotated {
        context.events.normal(object, "Rotate", "CredentialsRotated", rotated.clone()).await;
    }
    let Some(ready) = findings.iter().find(|finding| finding.type_ == conditions::READY) else { return };
    let was = before.iter().find(|one| one.type_ == conditions::READY);
    if was.is_some_and(|was| was.reason == ready.reason && was.message == ready.message) {
        return;
    }
    let degraded = findings.iter().any(|finding| finding.type_ == conditions::DEGRADED && finding.status == Some(true));
    if degraded {
        context.events.warning(object, "Reconcile", ready.reason, ready.message.clone()).await;
    } else {
        context.events.normal(object, "Reconcile", ready.reason, ready.message.clone()).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stages_that_the_database_keeps_from_being_reached_are_unknown() {
        let finding = |type_, status, reason| Finding::new(type_, status, reason, "");
        let down = finding(conditions::DATABASE_READY, Some(false), reason::DATABASE_UNAVAILABLE);
        let migrated = finding(conditions::MIGRATED, Some(true), reason::AS_PLANNED);
        let serves = finding(conditions::SERVICES_AVAILABLE, Some(true), reason::AS_PLANNED);
        let said = |findings: &[Finding]| -> Vec<_> {
            unreached(findings).into_iter().map(|one| (one.type_, one.status, one.reason)).collect()
        };
        let (first, second) = (
            (conditions::MIGRATED, None, reason::DATABASE_UNAVAILABLE),
            (conditions::SERVICES_AVAILABLE, None, reason::DATABASE_UNAVAILABLE),
        );
        assert_eq!(said(std::slice::from_ref(&down)), [first, second]);
        assert_eq!(said(&[down.clone(), migrated.clone()]), [second]);
        // A known connection that does not answer: the services were looked at.
        assert_eq!(said(&[down.clone(), migrated, serves]), []);
        // A fault of the API server says nothing of anything.
        assert_eq!(said(&[]), []);

        let unknown: Vec<_> = [down.clone()].into_iter().chain(unreached(&[down])).collect();
        let ready = &summary(&unknown, &Applied::default())[0];
        assert_eq!((ready.status, ready.reason), (Some(false), reason::DATABASE_UNAVAILABLE));
    }

    #[test]
    fn pods_are_counted_where_nothing_else_of_a_service_is_looked_at() {
        let known: ServiceStatus = serde_json::from_value(
            json!({ "service": "crm", "image": "c:1", "available": 2, "replicas": 2, "schemaVersion": 3 }),
        )
        .unwrap();
        let live = |status| serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap();
        let available = |live: Option<&DynamicObject>| counted(&known, live).available;
        assert_eq!(available(Some(&live(json!({ "availableReplicas": 1 })))), 1);
        assert_eq!((available(Some(&live(json!({})))), available(None)), (0, 0));
        assert_eq!(counted(&known, Some(&live(json!({ "availableReplicas": 2 })))), known);
    }
}
