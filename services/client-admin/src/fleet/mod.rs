//! The custom resources of the cluster, kept in memory by watches: pages and lists cost the API server nothing.

pub mod query;
pub mod summary;

use std::{fmt::Debug, future::ready, sync::Arc, time::Duration};

use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant};
use easycode_kit::Problem;
use easycode_operator::cli::plan::catalogue::Catalogue;
use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::timeout};
use tracing::warn;

/// Longest that one waits for what was just written.
const BEHIND: Duration = Duration::from_secs(2);

/// Everything that is watched; cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    tenants: Store<Tenant>,
    instances: Store<DedicatedInstance>,
    platforms: Store<SharedPlatform>,
    releases: Store<Release>,
    channels: Store<ReleaseChannel>,
    changes: watch::Receiver<u64>,
    complete: watch::Receiver<bool>,
}

impl Fleet {
    /// Begins to watch. The tasks end with the process.
    #[must_use]
    pub fn watch(client: &Client) -> Self {
        let (news, changes) = watch::channel(0);
        let (completed, complete) = watch::channel(false);
        let news = Arc::new(news);
        let fleet = Self {
            tenants: follow(client, &news),
            instances: follow(client, &news),
            platforms: follow(client, &news),
            releases: follow(client, &news),
            channels: follow(client, &news),
            changes,
            complete,
        };
        let listed = fleet.clone();
        tokio::spawn(async move {
            // An error means that the watch's task is gone, and then there is nothing to be ready for.
            let all = tokio::try_join!(
                listed.tenants.wait_until_ready(),
                listed.instances.wait_until_ready(),
                listed.platforms.wait_until_ready(),
                listed.releases.wait_until_ready(),
                listed.channels.wait_until_ready(),
            );
            completed.send_replace(all.is_ok());
        });
        fleet
    }

    /// Whether each kind was listed once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow()
    }

    /// Tells of changes of anything.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Waits until the watches show what is asked, and tells whether they do: one may be interrupted.
    pub async fn shows(&self, asked: impl Fn(&Self) -> bool) -> bool {
        let mut news = self.changes();
        let shown = timeout(BEHIND, news.wait_for(|_| asked(self))).await;
        shown.is_ok_and(|outcome| outcome.is_ok())
    }

    /// The tenant of the name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        self.tenants.get(&ObjectRef::new(name))
    }

    /// The instance of the name.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<Arc<DedicatedInstance>> {
        self.instances.get(&ObjectRef::new(name))
    }

    /// The tenant of the name, which there must be.
    pub fn known_tenant(&self, name: &str) -> Result<Arc<Tenant>, Problem> {
        self.tenant(name).ok_or_else(|| Problem::not_found(format!("there is no tenant {name}")))
    }

    /// The instance of the name, which there must be.
    pub fn known_instance(&self, name: &str) -> Result<Arc<DedicatedInstance>, Problem> {
        self.instance(name).ok_or_else(|| Problem::not_found(format!("there is no instance {name}")))
    }

    /// The platform of the name.
    #[must_use]
    pub fn platform(&self, name: &str) -> Option<Arc<SharedPlatform>> {
        self.platforms.get(&ObjectRef::new(name))
    }

    /// The platform of the name, which there must be.
    pub fn known_platform(&self, name: &str) -> Result<Arc<SharedPlatform>, Problem> {
        self.platform(name).ok_or_else(|| Problem::not_found(format!("there is no platform {name}")))
    }

    /// The release of the name.
    #[must_use]
    pub fn release(&self, name: &str) -> Option<Arc<Release>> {
        self.releases.get(&ObjectRef::new(name))
    }

    /// All tenants, by name.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        sorted(&self.tenants)
    }

    /// All instances, by name.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<DedicatedInstance>> {
        sorted(&self.instances)
    }

    /// All platforms, by name.
    #[must_use]
    pub fn platforms(&self) -> Vec<Arc<SharedPlatform>> {
        sorted(&self.platforms)
    }

    /// All releases, by name.
    #[must_use]
    pub fn releases(&self) -> Vec<Arc<Release>> {
        sorted(&self.releases)
    }

    /// All channels, by name.
    #[must_use]
    pub fn channels(&self) -> Vec<Arc<ReleaseChannel>> {
        sorted(&self.channels)
    }

    /// All of it, as the operator's planner takes it.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        Catalogue {
            tenants: self.tenants().iter().map(|tenant| tenant.as_ref().clone()).collect(),
            platforms: self.platforms(),
            instances: self.instances(),
            releases: self.releases(),
            channels: self.channels(),
        }
    }
}

/// The store of a kind, kept by a task of its own.
fn follow<K>(client: &Client, news: &Arc<watch::Sender<u64>>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let news = Arc::clone(news);
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().reflect(writer);
    tokio::spawn(events.for_each(move |event| {
        match event {
            Ok(_) => news.send_modify(|count| *count = count.wrapping_add(1)),
            Err(error) => warn!(%error, kind = %K::kind(&()), "watch interrupted, retrying"),
        }
        ready(())
    }));
    store
}

fn sorted<K>(store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut all = store.state();
    all.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
    all
}
