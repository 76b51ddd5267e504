//! What the controllers share.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use easycode_crds::{Release, SharedPlatform, Tenant};
use kube::{Client, runtime::reflector::Store};

use super::{events::Events, metrics::Metrics, options::Options};
use crate::{
    kubernetes::{
        apply::Applier,
        cache::{Caches, Triggers},
    },
    postgres::Database,
    tenant::{placement::Placement, unseen::Unseen},
};

/// What the controllers share.
pub struct Context {
    /// Client of the cluster.
    pub client: Client,
    /// Options of the process.
    pub options: Options,
    /// Live objects that the operator made.
    pub caches: Caches,
    /// Writes planned objects.
    pub applier: Applier,
    /// Publishes events.
    pub events: Events,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Asks a controller to reconcile.
    pub triggers: Triggers,
    /// All tenants.
    pub tenants: Store<Tenant>,
    /// All platforms.
    pub platforms: Store<SharedPlatform>,
    /// All releases.
    pub releases: Store<Release>,
    /// Statuses of tenants that the cache does not show yet.
    pub unseen: Unseen,
    /// Where tenants go.
    pub placement: Placement,
    /// The platforms' Postgres, as far as connected.
    pub databases: Databases,
}

type Connections = HashMap<String, (Arc<Database>, Option<String>)>;

/// The platforms' Postgres by name of the platform, each with what was wrong at the last look.
#[derive(Default)]
pub struct Databases {
    connections: RwLock<Connections>,
    visited: RwLock<HashSet<String>>,
}

impl Databases {
    /// The platform's Postgres, if connected.
    #[must_use]
    pub fn get(&self, platform: &str) -> Option<Arc<Database>> {
        self.read().get(platform).map(|(database, _)| Arc::clone(database))
    }

    /// What was wrong at the last look.
    #[must_use]
    pub fn trouble(&self, platform: &str) -> Option<String> {
        self.read().get(platform).and_then(|(_, trouble)| trouble.clone())
    }

    /// All connections by platform.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Arc<Database>)> {
        self.read().iter().map(|(platform, (database, _))| (platform.clone(), Arc::clone(database))).collect()
    }

    /// Keeps a new connection.
    pub fn insert(&self, platform: &str, database: Arc<Database>) {
        self.write().insert(platform.to_owned(), (database, None));
    }

    /// Notes how the last look went. Returns whether that is news.
    pub fn looked(&self, platform: &str, trouble: Option<&str>) -> bool {
        match self.write().get_mut(platform) {
            Some((_, known)) => std::mem::replace(known, trouble.map(str::to_owned)).as_deref() != trouble,
            None => false,
        }
    }

    /// Notes that the platform was reconciled by this process. Returns whether for the first time.
    pub fn visit(&self, platform: &str) -> bool {
        self.visited.write().unwrap_or_else(PoisonError::into_inner).insert(platform.to_owned())
    }

    /// Whether the platform was reconciled by this process.
    #[must_use]
    pub fn was_visited(&self, platform: &str) -> bool {
        self.visited.read().unwrap_or_else(PoisonError::into_inner).contains(platform)
    }

    /// Forgets a platform's connection.
    pub fn remove(&self, platform: &str) {
        self.write().remove(platform);
    }

    fn read(&self) -> RwLockReadGuard<'_, Connections> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Connections> {
        self.connections.write().unwrap_or_else(PoisonError::into_inner)
    }
}
