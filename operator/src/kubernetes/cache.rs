//! One reflector a kind over the objects that the operator made, shared by all controllers. Each change is announced to
//! the controller whose object it belongs to.

use std::{collections::HashMap, sync::Arc};

use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant};
use futures::{StreamExt, future::join_all};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, TypeMeta},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tracing::warn;

use super::{labels, object::Kind};
use crate::stack::home::Home;

/// Whom a change of a made object concerns.
#[derive(Clone)]
pub struct Triggers {
    /// Reconciles a platform.
    pub platforms: mpsc::UnboundedSender<ObjectRef<SharedPlatform>>,
    /// Reconciles an instance.
    pub instances: mpsc::UnboundedSender<ObjectRef<DedicatedInstance>>,
    /// Reconciles a tenant.
    pub tenants: mpsc::UnboundedSender<ObjectRef<Tenant>>,
    /// Reconciles a release.
    pub releases: mpsc::UnboundedSender<ObjectRef<Release>>,
    /// Reconciles a channel.
    pub channels: mpsc::UnboundedSender<ObjectRef<ReleaseChannel>>,
}

impl Triggers {
    /// Reconciles the platform.
    pub fn platform(&self, name: &str) {
        // A closed channel means that the controller has stopped, so there is nobody to tell.
        let _ = self.platforms.send(ObjectRef::new(name));
    }

    /// Reconciles the instance.
    pub fn instance(&self, name: &str) {
        let _ = self.instances.send(ObjectRef::new(name));
    }

    /// Reconciles whichever it is.
    pub fn home(&self, home: &Home) {
        match home {
            Home::Platform(name) => self.platform(name),
            Home::Instance(name) => self.instance(name),
        }
    }

    /// Reconciles the tenant.
    pub fn tenant(&self, name: &str) {
        let _ = self.tenants.send(ObjectRef::new(name));
    }

    /// Reconciles the release.
    pub fn release(&self, name: &str) {
        let _ = self.releases.send(ObjectRef::new(name));
    }

    /// Reconciles the channel.
    pub fn channel(&self, name: &str) {
        let _ = self.channels.send(ObjectRef::new(name));
    }

    fn owner_of(&self, object: &DynamicObject) {
        if let Some(tenant) = object.labels().get(labels::TENANT) {
            self.tenant(tenant);
        } else if let Some(platform) = object.labels().get(labels::PLATFORM) {
            self.platform(platform);
        } else if let Some(instance) = object.labels().get(labels::INSTANCE) {
            self.instance(instance);
        }
    }
}

/// The live objects that the operator made, by kind.
pub struct Caches {
    stores: HashMap<Kind, Store<DynamicObject>>,
}

impl Caches {
    /// Starts the watches. The tasks end with the process.
    #[must_use]
    pub fn start(client: &Client, triggers: &Triggers) -> (Self, Vec<JoinHandle<()>>) {
        let mut stores = HashMap::new();
        let mut tasks = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_watched()) {
            let resource = kind.resource();
            let writer = Writer::new(resource.clone());
            stores.insert(kind, writer.as_reader());
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let config = watcher::Config::default().labels(labels::MANAGED_BY);
            let types = TypeMeta { api_version: resource.api_version, kind: resource.kind };
            let events = watcher(api, config)
                .default_backoff()
                .modify(move |object| {
                    object.managed_fields_mut().clear();
                    // The items of a list carry no kind, and would differ from every plan.
                    object.types.get_or_insert_with(|| types.clone());
                })
                .reflect(writer);
            tasks.push(tokio::spawn(announce(kind, events, triggers.clone())));
        }
        (Self { stores }, tasks)
    }

    /// Waits until each kind was listed once.
    pub async fn wait_until_ready(&self) {
        // An error means that the watch's task is gone, which the process notices by itself.
        let _ = join_all(self.stores.values().map(Store::wait_until_ready)).await;
    }

    /// The live object, if there is one and its kind is watched.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let mut key = ObjectRef::new_with(name, kind.resource());
        if kind != Kind::Namespace {
            key = key.within(namespace);
        }
        self.stores.get(&kind)?.get(&key)
    }

    /// The live objects of a kind in a namespace.
    #[must_use]
    pub fn list(&self, kind: Kind, namespace: &str) -> Vec<Arc<DynamicObject>> {
        self.stores
            .get(&kind)
            .map(|store| store.state_filter(|object| object.namespace().as_deref() == Some(namespace)))
            .unwrap_or_default()
    }
}

async fn announce(
    kind: Kind,
    events: impl futures::Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>>,
    triggers: Triggers,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => triggers.owner_of(&object),
            // The first list is followed by a reconcile of everything anyway.
            Ok(_) => {}
            Err(error) => warn!(?kind, %error, "watch interrupted, retrying"),
        }
    }
}
