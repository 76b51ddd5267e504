//! What is served to the services: the operator's config with the tenant's settings, and each change of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use easycode_contract::{
    context::{TenantContext, TenantState},
    stream::ContextEvent,
};
use easycode_kit::contexts::Contexts;
use tokio::sync::{broadcast, watch};

/// Settings of a tenant by service.
pub type Settings = BTreeMap<String, serde_json::Value>;

/// Events that a slow follower may be behind before it has to start over.
const BEHIND: usize = 4096;

#[derive(Default)]
struct State {
    config: HashMap<String, TenantContext>,
    settings: HashMap<String, Settings>,
}

/// Joins config and settings; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    state: Arc<Mutex<State>>,
    contexts: Contexts,
    events: broadcast::Sender<ContextEvent>,
    synced: Arc<watch::Sender<bool>>,
    unloaded: Arc<watch::Sender<u64>>,
}

impl Publisher {
    /// Publishes to `contexts` (for this service's own guard) and to whoever subscribes.
    #[must_use]
    pub fn new(contexts: Contexts) -> Self {
        Self {
            state: Arc::default(),
            contexts,
            events: broadcast::channel(BEHIND).0,
            synced: Arc::new(watch::channel(false).0),
            unloaded: Arc::new(watch::channel(0).0),
        }
    }

    /// Takes in a tenant's config from its ConfigMap.
    pub fn configure(&self, context: TenantContext) {
        let mut state = self.lock();
        let tenant = context.tenant.clone();
        if state.config.get(&tenant) == Some(&context) {
            return;
        }
        let known = state.settings.contains_key(&tenant);
        state.config.insert(tenant.clone(), context);
        self.publish(&state, &tenant);
        drop(state);
        if !known {
            self.unloaded.send_modify(|count| *count += 1);
        }
    }

    /// A tenant's ConfigMap is gone.
    pub fn remove(&self, tenant: &str) {
        let mut state = self.lock();
        state.settings.remove(tenant);
        if state.config.remove(tenant).is_some() {
            self.announce(ContextEvent::Removed { tenant: tenant.to_owned() });
        }
    }

    /// The first list of ConfigMaps is complete, with these tenants.
    pub fn complete(&self, tenants: &[String]) {
        let gone: Vec<_> = self.lock().config.keys().filter(|tenant| !tenants.contains(tenant)).cloned().collect();
        for tenant in gone {
            self.remove(&tenant);
        }
        self.contexts.apply(ContextEvent::Synced);
        self.synced.send_replace(true);
    }

    /// Takes in a tenant's settings from the database.
    pub fn set(&self, tenant: &str, settings: Settings) {
        let mut state = self.lock();
        if state.settings.get(tenant) == Some(&settings) {
            return;
        }
        state.settings.insert(tenant.to_owned(), settings);
        self.publish(&state, tenant);
    }

    /// Tenants whose settings were not read yet.
    #[must_use]
    pub fn without_settings(&self) -> Vec<TenantContext> {
        let state = self.lock();
        let wanted = |context: &&TenantContext| {
            // Nobody may read a suspended tenant's schema, and nobody needs to.
            context.state == TenantState::Active && !state.settings.contains_key(&context.tenant)
        };
        state.config.values().filter(wanted).cloned().collect()
    }

    /// Resolves when there may be tenants whose settings were not read yet.
    #[must_use]
    pub fn unloaded(&self) -> watch::Receiver<u64> {
        self.unloaded.subscribe()
    }

    /// All contexts now, and every event after that.
    pub async fn subscribe(&self) -> (Vec<TenantContext>, broadcast::Receiver<ContextEvent>) {
        // Before the first list is complete, a follower would take missing tenants for deleted ones.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
        let state = self.lock();
        let all = state.config.keys().filter_map(|tenant| joined(&state, tenant)).collect();
        (all, self.events.subscribe())
    }

    /// One tenant's context.
    #[must_use]
    pub fn get(&self, tenant: &str) -> Option<TenantContext> {
        joined(&self.lock(), tenant)
    }

    fn publish(&self, state: &State, tenant: &str) {
        if let Some(context) = joined(state, tenant) {
            self.announce(ContextEvent::Context { context: Box::new(context) });
        }
    }

    fn announce(&self, event: ContextEvent) {
        self.contexts.apply(event.clone());
        // An error means only that nobody follows.
        let _ = self.events.send(event);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn joined(state: &State, tenant: &str) -> Option<TenantContext> {
    let mut context = state.config.get(tenant)?.clone();
    if let Some(settings) = state.settings.get(tenant) {
        context.settings.clone_from(settings);
    }
    Some(context)
}
