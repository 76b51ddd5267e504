//! Reads what a platform's plan needs, out of the caches.

use std::sync::Arc;

use easycode_crds::{Release, SharedPlatform};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{runtime::context::Context, stack::home::Home, tenant::placement::tenants_on};

/// What a platform is planned from, beside its spec.
pub struct Observed {
    /// The release of the spec; `None` if there is no such.
    pub release: Option<Arc<Release>>,
    /// The release that all workloads ran last, which may be another while a rollout is under way.
    pub running: Option<Arc<Release>>,
    /// How many tenants are placed here.
    pub tenants: usize,
}

/// Reads.
#[must_use]
pub fn observe(platform: &SharedPlatform, context: &Context) -> Observed {
    let running = platform.status.as_ref().and_then(|status| status.release.as_deref());
    Observed {
        running: running.and_then(|name| context.releases.get(&ObjectRef::new(name))),
        release: context.releases.get(&ObjectRef::new(&platform.spec.release)),
        tenants: tenants_on(&Home::Platform(platform.name_any()), context).len(),
    }
}
