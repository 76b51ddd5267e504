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
    listed: Arc<watch::Sender<bool>>,
    complete: Arc<watch::Sender<bool>>,
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
            listed: Arc::new(watch::channel(false).0),
            complete: Arc::new(watch::channel(false).0),
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
        if state.config.get(&tenant).is_some_and(|before| before.uid != context.uid) {
            // Another company has the name now: whoever keeps something of the one before is to drop it.
            state.settings.remove(&tenant);
            self.announce(ContextEvent::Removed { tenant: tenant.clone() });
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

    /// The list of ConfigMaps was read, with these tenants.
    pub fn list(&self, tenants: &[String]) {
        let gone: Vec<_> = self.lock().config.keys().filter(|tenant| !tenants.contains(tenant)).cloned().collect();
        for tenant in gone {
            self.remove(&tenant);
        }
        self.listed.send_replace(true);
    }

    /// Resolves when the first list was read.
    pub async fn listed(&self) {
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// From now on what is published counts: the tenants of the first list have their settings, or had time to get them.
    pub fn complete(&self) {
        if !self.complete.send_replace(true) {
            self.contexts.apply(ContextEvent::Synced);
        }
    }

    /// Whether that was said.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow()
    }

    /// Takes in a tenant's settings from the database, unless another has its name by now: `uid` is that of whose they are.
    pub fn set(&self, tenant: &str, uid: &str, settings: Settings) {
        let mut state = self.lock();
        if state.config.get(tenant).is_some_and(|present| present.uid != uid) {
            return;
        }
        if state.settings.get(tenant) == Some(&settings) {
            return;
        }
        state.settings.insert(tenant.to_owned(), settings);
        self.publish(&state, tenant);
    }

    /// All tenants.
    #[must_use]
    pub fn tenants(&self) -> Vec<String> {
        self.lock().config.keys().cloned().collect()
    }

    /// Tenants whose settings were not read yet.
    #[must_use]
    pub fn without_settings(&self) -> Vec<String> {
        let state = self.lock();
        let wanted = |context: &&TenantContext| {
            // Nobody may read a suspended tenant's schema, and nobody needs to.
            context.state == TenantState::Active && !state.settings.contains_key(&context.tenant)
        };
        state.config.values().filter(wanted).map(|context| context.tenant.clone()).collect()
    }

    /// Resolves when there may be tenants whose settings were not read yet.
    #[must_use]
    pub fn unloaded(&self) -> watch::Receiver<u64> {
        self.unloaded.subscribe()
    }

    /// All contexts now, and every event after that.
    pub async fn subscribe(&self) -> (Vec<TenantContext>, broadcast::Receiver<ContextEvent>) {
        // Before, a follower would take missing tenants for deleted ones, and missing settings for none.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn context(tenant: &str) -> TenantContext {
        let context = json!({
            "tenant": tenant, "displayName": tenant, "generation": 1, "state": "Active", "entitlements": {}, "release": "1",
            "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
            "dataUse": { "analytics": "None", "aiTraining": "None" }, "databaseRole": "t",
        });
        serde_json::from_value(context).unwrap()
    }

    #[tokio::test]
    async fn settings_of_a_former_tenant_of_the_name_are_dropped() {
        let publisher = Publisher::new(Contexts::local());
        let of = |uid: &str| TenantContext { uid: uid.to_owned(), ..context("aurora") };
        let settings = Settings::from([("crm".to_owned(), json!({ "fields": [] }))]);
        publisher.list(&["aurora".to_owned()]);
        publisher.configure(of("a"));
        publisher.set("aurora", "a", settings.clone());
        publisher.complete();
        let (_, mut events) = publisher.subscribe().await;

        publisher.configure(of("b"));
        assert!(matches!(events.try_recv(), Ok(ContextEvent::Removed { .. })));
        assert_eq!(publisher.get("aurora"), Some(of("b")));
        assert_eq!(publisher.without_settings(), ["aurora"]);
        // They were being read when the other came.
        publisher.set("aurora", "a", settings);
        assert_eq!(publisher.get("aurora"), Some(of("b")));
    }

    #[tokio::test]
    async fn nobody_is_told_of_tenants_without_their_settings() {
        let contexts = Contexts::local();
        let publisher = Publisher::new(contexts.clone());
        publisher.configure(context("aurora"));
        assert!(publisher.listed().now_or_never().is_none());
        publisher.list(&["aurora".to_owned()]);
        assert!(publisher.listed().now_or_never().is_some());
        assert!(publisher.subscribe().now_or_never().is_none());
        assert!(!contexts.is_synced() && !publisher.is_complete());

        let settings = Settings::from([("crm".to_owned(), json!({ "fields": [] }))]);
        publisher.set("aurora", "", settings.clone());
        publisher.complete();
        let (all, _) = publisher.subscribe().now_or_never().expect("it is complete");
        assert_eq!(all, [TenantContext { settings, ..context("aurora") }]);
        assert!(contexts.is_synced() && publisher.is_complete());
    }
}
