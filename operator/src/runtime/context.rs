//! What the controllers share.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use easycode_crds::{
    DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant, instance,
    platform::{self, ServiceStatus},
};
use kube::{
    Client, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};

use super::{events::Events, metrics::Metrics, names, options::Options};
use crate::{
    audit::Ledger,
    isolation::Isolation,
    kubernetes::{
        apply::Applier,
        cache::{Caches, Triggers},
    },
    postgres::{Database, Error as DatabaseError},
    release::choice::{self, Missing},
    stack::{
        blueprint::{Nodes, Operator},
        home::{Home, HomeObject},
        plan::{cloudnative_pg, postgres},
    },
    tenant::{placement::Placement, relocation::Opened, unseen::Unseen},
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
    /// All instances.
    pub instances: Store<DedicatedInstance>,
    /// All releases.
    pub releases: Store<Release>,
    /// All channels of releases.
    pub channels: Store<ReleaseChannel>,
    /// Statuses of tenants that the cache does not show yet.
    pub unseen: Unseen,
    /// What is to be recorded in the audit trail.
    pub ledger: Arc<Ledger>,
    /// What probes of isolation showed.
    pub isolation: Isolation,
    /// The copies of tenants that left, as far as they were opened again.
    pub opened: Opened,
    /// Where tenants go.
    pub placement: Placement,
    /// The stacks' Postgres, as far as connected.
    pub databases: Databases,
    /// Where the cluster resolves names, as far as that is looked at.
    pub names: names::Seen,
}

/// What is known of a home whose services run.
pub struct Seen {
    /// Its services.
    pub services: Vec<ServiceStatus>,
    /// Name of the Service of its Postgres, if it runs in its namespace.
    pub postgres: Option<&'static str>,
    /// Whose tokens its services accept.
    pub issuer: String,
    /// Where its pods may run.
    pub nodes: Nodes,
}

impl Context {
    /// The operator, as the objects that it makes refer to it.
    #[must_use]
    pub fn operator(&self) -> Operator {
        let operator = self.options.operator();
        match self.options.names() {
            Some(_) => operator,
            None => Operator { names: self.names.last(), ..operator },
        }
    }

    /// The custom resource of a home, if it is there.
    #[must_use]
    pub fn object_of(&self, home: &Home) -> Option<HomeObject> {
        match home {
            Home::Platform(name) => self.platforms.get(&ObjectRef::new(name)).map(HomeObject::Platform),
            Home::Instance(name) => self.instances.get(&ObjectRef::new(name)).map(HomeObject::Instance),
        }
    }

    /// Whether there is such a platform or instance.
    #[must_use]
    pub fn exists(&self, home: &Home) -> bool {
        self.object_of(home).is_some()
    }

    /// An image with Postgres' client programs for what logs in at the home alone: that of its embedded Postgres, or what the
    /// operator was given for the others.
    #[must_use]
    pub fn client_image(&self, home: &Home) -> String {
        let embedded = self.object_of(home).and_then(|object| object.embedded().cloned());
        embedded.map_or_else(|| self.options.postgres_client_image.clone(), |embedded| embedded.image)
    }

    /// An image with Postgres' client programs for what logs in at another home, too. It is none that an instance names: whoever
    /// chooses that must not choose what copies other homes' data.
    #[must_use]
    pub fn copy_image(&self, home: &Home) -> String {
        match home {
            Home::Platform(_) => self.client_image(home),
            Home::Instance(_) => self.options.postgres_client_image.clone(),
        }
    }

    /// The value of an annotation of the platform or the instance.
    #[must_use]
    pub fn annotation(&self, home: &Home, key: &str) -> Option<String> {
        self.object_of(home)?.meta().annotations.as_ref()?.get(key).cloned()
    }

    /// What is known of a home whose services run.
    #[must_use]
    pub fn seen(&self, home: &Home) -> Option<Seen> {
        let runs = |services: &[ServiceStatus]| services.iter().all(|one| one.available > 0) && !services.is_empty();
        match home {
            Home::Platform(name) => {
                let platform = self.platforms.get(&ObjectRef::new(name))?;
                let services = platform.status.as_ref()?.services.clone();
                runs(&services).then(|| Seen {
                    services,
                    postgres: match platform.spec.database.provider {
                        platform::Provider::Embedded => Some(postgres::NAME),
                        platform::Provider::External => None,
                    },
                    issuer: platform.spec.identity.issuer.clone(),
                    nodes: Nodes::default(),
                })
            }
            Home::Instance(name) => {
                let instance = self.instances.get(&ObjectRef::new(name))?;
                let services = instance.status.as_ref()?.services.clone();
                runs(&services).then(|| Seen {
                    services,
                    postgres: match instance.spec.database.provider {
                        instance::Provider::Embedded => Some(postgres::NAME),
                        instance::Provider::CloudNativePg => Some(cloudnative_pg::SERVICE),
                        instance::Provider::External => None,
                    },
                    issuer: instance.spec.identity.issuer.clone(),
                    nodes: crate::instance::plan::nodes(&instance),
                })
            }
        }
    }

    /// The nodes that a home's pods are bound to, and the class of its volumes, if it says one.
    #[must_use]
    pub fn room(&self, home: &Home) -> (Nodes, Option<String>) {
        match home {
            Home::Platform(name) => {
                let platform = self.platforms.get(&ObjectRef::new(name));
                let embedded = platform.and_then(|one| one.spec.database.embedded.clone());
                (Nodes::default(), embedded.and_then(|embedded| embedded.storage_class))
            }
            Home::Instance(name) => {
                let Some(instance) = self.instances.get(&ObjectRef::new(name)) else { return Default::default() };
                let database = &instance.spec.database;
                let classes = [
                    database.embedded.as_ref().and_then(|one| one.storage_class.clone()),
                    database.cloud_native_pg.as_ref().and_then(|one| one.storage_class.clone()),
                ];
                (crate::instance::plan::nodes(&instance), classes.into_iter().flatten().next())
            }
        }
    }

    /// The release that an instance is to run.
    pub fn wanted(&self, instance: &DedicatedInstance) -> Result<Arc<Release>, Missing> {
        choice::choose(&instance.spec.release, &self.channels.state(), &self.releases.state())
    }

    /// The instances that follow a channel, but for those on their way out.
    #[must_use]
    pub fn followers(&self, channel: &str) -> Vec<Arc<DedicatedInstance>> {
        self.instances.state_filter(|one| {
            one.spec.release.channel.as_deref() == Some(channel) && one.metadata.deletion_timestamp.is_none()
        })
    }

    /// Reconciles all releases and channels, since who uses them has changed.
    pub fn trigger_releases(&self) {
        for release in self.releases.state() {
            self.triggers.release(&release.name_any());
        }
        for channel in self.channels.state() {
            self.triggers.channel(&channel.name_any());
        }
    }

    /// All platforms and instances.
    #[must_use]
    pub fn homes(&self) -> Vec<Home> {
        let platforms = self.platforms.state().into_iter().map(|one| Home::Platform(one.name_any()));
        let instances = self.instances.state().into_iter().map(|one| Home::Instance(one.name_any()));
        platforms.chain(instances).collect()
    }
}

type Connections = HashMap<Home, (Arc<Database>, Option<DatabaseError>)>;

/// The Postgres of platforms and instances, each with what was wrong at the last look.
#[derive(Default)]
pub struct Databases {
    connections: RwLock<Connections>,
    visited: RwLock<HashSet<Home>>,
}

impl Databases {
    /// The Postgres, if connected.
    #[must_use]
    pub fn get(&self, home: &Home) -> Option<Arc<Database>> {
        self.read().get(home).map(|(database, _)| Arc::clone(database))
    }

    /// The Postgres, if connected and nothing was wrong at the last look.
    #[must_use]
    pub fn answering(&self, home: &Home) -> Option<Arc<Database>> {
        self.read().get(home).filter(|(_, trouble)| trouble.is_none()).map(|(database, _)| Arc::clone(database))
    }

    /// What was wrong at the last look.
    #[must_use]
    pub fn trouble(&self, home: &Home) -> Option<DatabaseError> {
        self.read().get(home).and_then(|(_, trouble)| trouble.clone())
    }

    /// All connections, each with whose it is.
    #[must_use]
    pub fn all(&self) -> Vec<(Home, Arc<Database>)> {
        self.read().iter().map(|(home, (database, _))| (home.clone(), Arc::clone(database))).collect()
    }

    /// Keeps a new connection, with what is wrong already.
    pub fn insert(&self, home: &Home, database: Arc<Database>, trouble: Option<DatabaseError>) {
        self.write().insert(home.clone(), (database, trouble));
    }

    /// Notes how the last look went. Returns whether that is news.
    pub fn looked(&self, home: &Home, trouble: Option<&DatabaseError>) -> bool {
        match self.write().get_mut(home) {
            Some((_, known)) => std::mem::replace(known, trouble.cloned()).as_ref() != trouble,
            None => false,
        }
    }

    /// Notes that it was reconciled by this process. Returns whether for the first time.
    pub fn visit(&self, home: &Home) -> bool {
        self.visited.write().unwrap_or_else(PoisonError::into_inner).insert(home.clone())
    }

    /// Whether it was reconciled by this process.
    #[must_use]
    pub fn was_visited(&self, home: &Home) -> bool {
        self.visited.read().unwrap_or_else(PoisonError::into_inner).contains(home)
    }

    /// Forgets a connection.
    pub fn remove(&self, home: &Home) {
        self.write().remove(home);
    }

    fn read(&self) -> RwLockReadGuard<'_, Connections> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Connections> {
        self.connections.write().unwrap_or_else(PoisonError::into_inner)
    }
}
