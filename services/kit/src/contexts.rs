//! The contexts of all tenants, as fresh as they must be: never older than a second without a sign of life from
//! tenant-service. If the stream is broken, each request asks by itself; if that fails too, it is refused.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use easycode_contract::{
    context::TenantContext,
    stream::{CONTEXTS_PATH, ContextEvent, FRESH_MILLIS},
};

use crate::{Config, Problem};

#[derive(Default)]
struct State {
    contexts: HashMap<String, Arc<TenantContext>>,
    seen: HashSet<String>,
    /// Everything was received at least once.
    synced: bool,
    /// The present stream has not yet told everything.
    syncing: bool,
    alive: Option<Instant>,
}

/// All contexts; cheap to clone.
#[derive(Clone)]
pub struct Contexts {
    state: Arc<RwLock<State>>,
    remote: Option<Arc<Remote>>,
}

/// How to ask tenant-service.
pub(crate) struct Remote {
    pub(crate) http: reqwest::Client,
    pub(crate) config: Config,
}

impl Contexts {
    /// Kept by the process itself; always fresh once it says that it is synced. For tenant-service, and for tests.
    #[must_use]
    pub fn local() -> Self {
        Self { state: Arc::default(), remote: None }
    }

    /// Kept up to date from tenant-service. Must be called within a runtime.
    #[must_use]
    pub fn remote(config: &Config) -> Self {
        let remote = Arc::new(Remote { http: crate::http::client(), config: config.clone() });
        let contexts = Self { state: Arc::default(), remote: Some(Arc::clone(&remote)) };
        tokio::spawn(crate::stream::follow(contexts.clone(), remote));
        contexts
    }

    /// Whether all contexts were received at least once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.read().synced
    }

    /// The tenant's context, `None` if there is no such tenant.
    pub async fn get(&self, tenant: &str) -> Result<Option<Arc<TenantContext>>, Problem> {
        {
            let state = self.read();
            let alive = |at: Instant| at.elapsed() <= Duration::from_millis(FRESH_MILLIS);
            let fresh = self.remote.is_none() || (!state.syncing && state.alive.is_some_and(alive));
            if state.synced && fresh {
                return Ok(state.contexts.get(tenant).cloned());
            }
        }
        let Some(remote) = &self.remote else {
            return Err(Problem::unavailable("the tenants' contexts were not read yet; try again"));
        };
        remote.fetch(tenant).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "tenant-service can't be asked");
            Problem::unavailable("the tenant's entitlements can't be checked right now; try again")
        })
    }

    /// All contexts.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<TenantContext>> {
        self.read().contexts.values().cloned().collect()
    }

    /// Takes in an event.
    pub fn apply(&self, event: ContextEvent) {
        let mut state = self.write();
        state.alive = Some(Instant::now());
        match event {
            ContextEvent::Context { context } => {
                state.seen.insert(context.tenant.clone());
                state.contexts.insert(context.tenant.clone(), Arc::new(*context));
            }
            ContextEvent::Removed { tenant } => {
                state.contexts.remove(&tenant);
            }
            ContextEvent::Synced => {
                let State { contexts, seen, .. } = &mut *state;
                contexts.retain(|tenant, _| seen.contains(tenant));
                state.synced = true;
                state.syncing = false;
            }
            ContextEvent::Heartbeat => {}
        }
    }

    /// A new stream begins: nothing counts as fresh until it was received once.
    pub(crate) fn begin(&self) {
        let mut state = self.write();
        state.seen.clear();
        state.syncing = true;
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote {
    async fn fetch(&self, tenant: &str) -> anyhow::Result<Option<Arc<TenantContext>>> {
        let token = tokio::fs::read_to_string(&self.config.identity_token).await?;
        let url = format!("{}{CONTEXTS_PATH}/{tenant}", self.config.tenant_service);
        let request = self.http.get(url).bearer_auth(token.trim()).timeout(Duration::from_millis(500));
        let response = request.send().await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(Arc::new(response.error_for_status()?.json().await?)))
    }
}

#[cfg(test)]
mod tests {
    use easycode_contract::context::TenantState;

    use super::*;

    fn event(tenant: &str, state: &str) -> ContextEvent {
        let context = serde_json::json!({
            "tenant": tenant, "displayName": tenant, "generation": 1, "state": state, "entitlements": {}, "release": "1",
            "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
            "dataUse": { "analytics": "None", "aiTraining": "None" }, "databaseRole": "t",
        });
        ContextEvent::Context { context: Box::new(serde_json::from_value(context).unwrap()) }
    }

    /// Follows a tenant-service that can't be asked: what is not fresh is refused.
    fn lonely() -> Contexts {
        let config = Config::of_nowhere();
        Contexts { state: Arc::default(), remote: Some(Arc::new(Remote { http: crate::http::client(), config })) }
    }

    #[tokio::test]
    async fn contexts_of_an_earlier_stream_do_not_count_until_the_new_one_told_everything() {
        let contexts = lonely();
        contexts.begin();
        for event in [event("aurora", "Active"), event("borealis", "Active"), ContextEvent::Synced] {
            contexts.apply(event);
        }
        assert_eq!(contexts.get("aurora").await.unwrap().unwrap().state, TenantState::Active);

        // Aurora was suspended while the stream was broken, and its line is not the first.
        contexts.begin();
        contexts.apply(event("borealis", "Active"));
        assert!(contexts.get("aurora").await.is_err());
        contexts.apply(ContextEvent::Heartbeat);
        assert!(contexts.get("aurora").await.is_err());
        contexts.apply(event("aurora", "Suspended"));
        contexts.apply(ContextEvent::Synced);
        assert_eq!(contexts.get("aurora").await.unwrap().unwrap().state, TenantState::Suspended);
    }
}
