//! The benchmark's own watch of tenants: when each of its own became ready, and whether anyone else used the cluster meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use easycode_crds::Tenant;
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};

use super::{ground::LABEL, progress};
use crate::cluster::Cluster;

/// What was seen so far.
#[derive(Default)]
pub struct Watch {
    ready: Mutex<HashMap<String, Instant>>,
    others: AtomicU64,
}

impl Watch {
    /// Starts watching, and returns once the watch is there. It ends with the process.
    pub async fn start(cluster: &Cluster) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        let (begun, beginning) = tokio::sync::oneshot::channel();
        tokio::spawn(follow(Api::all(cluster.client.clone()), Arc::clone(&watch), begun));
        // An error would mean that the task is gone, and then no tenant is ever seen ready.
        let _ = beginning.await;
        watch
    }

    /// When the tenant was first seen ready.
    #[must_use]
    pub fn ready_at(&self, tenant: &str) -> Option<Instant> {
        self.ready().get(tenant).copied()
    }

    /// How many were seen ready.
    #[must_use]
    pub fn ready_so_far(&self) -> usize {
        self.ready().len()
    }

    /// Changes of tenants that are not the benchmark's: they disturb what is measured.
    #[must_use]
    pub fn changes_of_others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, tenant: &Tenant) {
        let now = Instant::now();
        if !tenant.labels().contains_key(LABEL) {
            self.others.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut conditions = tenant.status.iter().flat_map(|status| &status.conditions);
        let is_ready = conditions.any(|one| {
            one.type_ == "Ready" && one.status == "True" && one.observed_generation == tenant.metadata.generation
        });
        if is_ready {
            self.ready().entry(tenant.name_any()).or_insert(now);
        }
    }
}

async fn follow(api: Api<Tenant>, watch: Arc<Watch>, begun: tokio::sync::oneshot::Sender<()>) {
    let mut begun = Some(begun);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(tenant) | Event::Delete(tenant)) => watch.saw(&tenant),
            Ok(Event::InitDone) => {
                if let Some(begun) = begun.take() {
                    let _ = begun.send(());
                }
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => {
                progress(&format!("the benchmark's watch was interrupted, so times may be too long: {error}"));
            }
        }
    }
}
