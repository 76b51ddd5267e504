//! Reads what an instance's plan needs, out of the caches.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use easycode_crds::{DedicatedInstance, Release, Tenant};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::window;
use crate::{
    kubernetes::{labels, object::Kind},
    release::choice::Missing,
    runtime::context::Context,
    stack::home::Home,
};

/// What an instance is planned from, beside its spec.
pub struct Observed {
    /// The release that the spec asks for, or why there is none.
    pub wanted: Result<Arc<Release>, Missing>,
    /// The release that all workloads ran last, which may be another while a rollout is under way.
    pub running: Option<Arc<Release>>,
    /// Name of the release that was rolled out last, be that finished or not.
    pub begun: Option<String>,
    /// The release of that name, if it is still there.
    pub current: Option<Arc<Release>>,
    /// The request for what is pending that was last followed.
    pub followed: Option<String>,
    /// Its tenant, if there is one of the name.
    pub tenant: Option<Arc<Tenant>>,
    /// The services that have a Deployment.
    pub deployed: BTreeSet<String>,
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
    let release = |name: &str| context.releases.get(&ObjectRef::new(name));
    let running = instance.status.as_ref().and_then(|status| status.release.as_deref());
    let namespace = Home::Instance(instance.name_any()).namespace();
    let notes = context.caches.get(Kind::Namespace, "", &namespace);
    let note = |key: &str| notes.as_ref().and_then(|live| live.annotations().get(key).cloned());
    let begun = note(labels::RELEASE).or_else(|| running.map(str::to_owned));
    let deployments = context.caches.list(Kind::Deployment, &namespace);
    Observed {
        wanted: context.wanted(instance),
        running: running.and_then(release),
        current: begun.as_deref().and_then(release),
        begun,
        followed: note(labels::APPLY_PENDING),
        tenant: context.tenants.get(&ObjectRef::new(&instance.spec.tenant_ref.name)),
        deployed: deployments.iter().filter_map(|one| one.labels().get(labels::SERVICE).cloned()).collect(),
    }
}

impl Observed {
    /// The release to be run now: another than the one that was begun waits for a window, unless it is asked for.
    #[must_use]
    pub fn release(&self, instance: &DedicatedInstance, now: Timestamp) -> (Option<&Release>, Option<Opens>) {
        let (Ok(wanted), Some(begun)) = (&self.wanted, &self.begun) else {
            return (self.wanted.as_deref().ok().or(self.current.as_deref()), None);
        };
        let request = instance.annotations().get(labels::APPLY_PENDING);
        // A request is followed once: it must not let later releases pass by the windows.
        let asked = request.is_some() && request != self.followed.as_ref();
        let windows = &instance.spec.maintenance.windows;
        if wanted.name_any() == *begun || asked || window::is_open(windows, now) {
            return (Some(wanted), None);
        }
        let opens = window::next(windows, now);
        let message = format!(
            "release {} waits for the next maintenance window{}; to roll it out now, annotate the instance with {}=<anything new>",
            wanted.spec.version,
            opens.map(|opens| format!(", which opens at {opens}")).unwrap_or_default(),
            labels::APPLY_PENDING
        );
        let after = window::until(windows, now);
        (self.current.as_deref(), Some(Opens { message, after }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(name: &str) -> Arc<Release> {
        let spec = json!({ "version": name, "services": [] });
        Arc::new(Release::new(name, serde_json::from_value(spec).unwrap()))
    }

    /// An instance that is to run `new`, with a window on Sundays at two.
    fn instance(request: Option<&str>) -> DedicatedInstance {
        let spec = json!({
            "tenantRef": { "name": "a" }, "release": { "version": "new" }, "location": { "region": "eu" },
            "identity": { "issuer": "https://i", "jwks": "{\"keys\": []}" },
            "maintenance": { "windows": [{ "schedule": "0 2 * * SUN", "duration": "2h" }] },
        });
        let mut instance = DedicatedInstance::new("a", serde_json::from_value(spec).unwrap());
        instance.annotations_mut().extend(request.map(|value| (labels::APPLY_PENDING.to_owned(), value.to_owned())));
        instance
    }

    fn observed(wanted: Option<&str>, begun: Option<&str>, followed: Option<&str>) -> Observed {
        Observed {
            wanted: wanted.map(release).ok_or_else(|| Missing { message: String::new() }),
            running: begun.map(release),
            begun: begun.map(str::to_owned),
            current: begun.map(release),
            followed: followed.map(str::to_owned),
            tenant: None,
            deployed: BTreeSet::new(),
        }
    }

    const OPEN: &str = "2026-11-29T02:30:00Z";
    const CLOSED: &str = "2026-11-28T02:30:00Z";

    #[test]
    fn another_release_waits_for_a_window_or_a_request_that_was_not_followed_yet() {
        for (wanted, begun, request, followed, now, runs, waits) in [
            // The first one waits for nothing.
            (Some("new"), None, None, None, CLOSED, Some("new"), false),
            (Some("new"), Some("old"), None, None, CLOSED, Some("old"), true),
            (Some("new"), Some("old"), None, None, OPEN, Some("new"), false),
            (Some("new"), Some("old"), Some("1"), None, CLOSED, Some("new"), false),
            (Some("new"), Some("old"), Some("1"), Some("1"), CLOSED, Some("old"), true),
            (Some("new"), Some("old"), Some("2"), Some("1"), CLOSED, Some("new"), false),
            // What was begun is finished, though the window has closed.
            (Some("new"), Some("new"), None, None, CLOSED, Some("new"), false),
            // One that is missing leaves the other running.
            (None, Some("old"), None, None, OPEN, Some("old"), false),
            (None, None, None, None, OPEN, None, false),
        ] {
            let observed = observed(wanted, begun, followed);
            let (release, opens) = observed.release(&instance(request), now.parse().unwrap());
            let found = (release.map(ResourceExt::name_any), opens.is_some());
            assert_eq!(found, (runs.map(str::to_owned), waits), "{wanted:?} {begun:?} {request:?} {followed:?} {now}");
        }
    }

    #[test]
    fn a_release_that_is_gone_is_not_replaced_outside_of_a_window() {
        let gone = Observed { current: None, ..observed(Some("new"), Some("old"), None) };
        let (release, opens) = gone.release(&instance(None), CLOSED.parse().unwrap());
        assert!(release.is_none() && opens.is_some());
    }
}
