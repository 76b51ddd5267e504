//! Statuses that were written and that the cache does not show yet. Without them a reconcile that follows at once would take
//! the old status for the present one, and write and tell again what is written and told.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use easycode_crds::{Tenant, TenantStatus};
use kube::ResourceExt;

/// Written statuses by uid, each with the version of the object that has it.
#[derive(Default)]
pub struct Unseen(Mutex<HashMap<String, (u64, TenantStatus)>>);

impl Unseen {
    /// Keeps what was written until the cache shows it.
    pub fn wrote(&self, written: &Tenant) {
        if let (Some(uid), Some(version), Some(status)) = (written.uid(), version(written), &written.status) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, (version, status.clone()));
        }
    }

    /// The tenant's status, as it was last written if the cache is behind that.
    pub fn status_of(&self, cached: &Tenant) -> Option<TenantStatus> {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = cached.uid().unwrap_or_default();
        match (statuses.get(&uid), version(cached)) {
            (Some((written, status)), Some(shown)) if shown < *written => Some(status.clone()),
            _ => {
                statuses.remove(&uid);
                cached.status.clone()
            }
        }
    }
}

/// Versions of one object are numbers that grow.
fn version(tenant: &Tenant) -> Option<u64> {
    tenant.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(version: &str, platform: &str) -> Tenant {
        let spec = serde_json::from_value(serde_json::json!({"displayName": "Acme"})).unwrap();
        let mut tenant = Tenant::new("acme", spec);
        tenant.metadata.uid = Some("u".to_owned());
        tenant.metadata.resource_version = Some(version.to_owned());
        tenant.status = Some(TenantStatus { platform: Some(platform.to_owned()), ..TenantStatus::default() });
        tenant
    }

    #[test]
    fn what_was_written_counts_until_the_cache_has_it() {
        let unseen = Unseen::default();
        unseen.wrote(&tenant("20", "new"));
        assert_eq!(unseen.status_of(&tenant("19", "old")).and_then(|status| status.platform).as_deref(), Some("new"));
        assert_eq!(
            unseen.status_of(&tenant("21", "newer")).and_then(|status| status.platform).as_deref(),
            Some("newer")
        );
        assert_eq!(
            unseen.status_of(&tenant("19", "old")).and_then(|status| status.platform).as_deref(),
            Some("old"),
            "it is forgotten once seen"
        );
    }
}
