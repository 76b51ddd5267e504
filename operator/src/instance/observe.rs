//! Reads what an instance's plan needs, out of the caches.

use std::{sync::Arc, time::Duration};

use easycode_crds::{DedicatedInstance, Release, Tenant};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::window;
use crate::{kubernetes::labels, runtime::context::Context};

/// What an instance is planned from, beside its spec.
pub struct Observed {
    /// The release of the spec; `None` if there is no such.
    pub wanted: Option<Arc<Release>>,
    /// The release that all workloads ran last, which may be another while a rollout is under way.
    pub running: Option<Arc<Release>>,
    /// Its tenant, if there is one of the name.
    pub tenant: Option<Arc<Tenant>>,
}

/// A wait for a maintenance window.
pub struct Opens {
    /// Says what waits and until when.
    pub message: String,
    /// Time until the window opens.
    pub after: Duration,
}

/// Reads.
#[must_use]
pub fn observe(instance: &DedicatedInstance, context: &Context) -> Observed {
    let running = instance.status.as_ref().and_then(|status| status.release.as_deref());
    Observed {
        wanted: context.releases.get(&ObjectRef::new(&instance.spec.release.name)),
        running: running.and_then(|name| context.releases.get(&ObjectRef::new(name))),
        tenant: context.tenants.get(&ObjectRef::new(&instance.spec.tenant_ref.name)),
    }
}

impl Observed {
    /// The release to be run now: another than the one that runs waits for a window, unless it is asked for.
    #[must_use]
    pub fn release(&self, instance: &DedicatedInstance, now: Timestamp) -> (Option<&Release>, Option<Opens>) {
        let (Some(wanted), Some(running)) = (&self.wanted, &self.running) else {
            return (self.wanted.as_deref(), None);
        };
        let asked = instance.annotations().contains_key(labels::APPLY_PENDING);
        let windows = &instance.spec.maintenance.windows;
        if wanted.name_any() == running.name_any() || asked || window::is_open(windows, now) {
            return (Some(wanted), None);
        }
        let opens = window::next(windows, now);
        let message = format!(
            "release {} waits for the next maintenance window{}; to roll it out now, annotate the instance with {}=<anything>",
            wanted.spec.version,
            opens.map(|opens| format!(", which opens at {opens}")).unwrap_or_default(),
            labels::APPLY_PENDING
        );
        let after = opens.and_then(|opens| Duration::try_from(opens.duration_since(now)).ok());
        // A long sleep is taken in pieces, as clocks are set.
        let after = after.unwrap_or(Duration::from_hours(1)).clamp(Duration::from_secs(1), Duration::from_hours(1));
        (Some(running), Some(Opens { message, after }))
    }
}
