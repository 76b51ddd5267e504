//! What is said of a stack as a whole, whichever resource asks for it: out of the findings at each stage.

use easycode_crds::conditions::{self, Finding, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;

use super::apply::Applied;
use crate::{kubernetes::labels, runtime::context::Context};

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
