//! Reads what a platform's plan needs, out of the caches.

use std::sync::Arc;

use easycode_crds::{Release, SharedPlatform};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{runtime::context::Context, tenant::placement::placed_on};

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
        tenants: tenants_on(&platform.name_any(), context).len(),
    }
}

/// Names of the tenants placed on a platform.
#[must_use]
pub fn tenants_on(platform: &str, context: &Context) -> Vec<String> {
    context
        .tenants
        .state_filter(|tenant| placed_on(tenant) == Some(platform))
        .iter()
        .map(|tenant| tenant.name_any())
        .collect()
}
