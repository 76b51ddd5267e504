//! What the services of one home share in one process: the contexts of its tenants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use easycode_kit::contexts::Contexts;
use easycode_tenant_service::publisher::Publisher;

/// The contexts of a home's tenants, and who publishes them.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) contexts: Contexts,
    pub(super) publisher: Publisher,
}

/// All homes, by namespace.
#[derive(Clone, Default)]
pub(super) struct Homes(Arc<Mutex<HashMap<String, Home>>>);

impl Homes {
    /// That of a namespace, which is made when it is first asked for.
    pub(super) fn of(&self, namespace: &str) -> Home {
        let mut homes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let contexts = Contexts::local();
            Home { publisher: Publisher::new(contexts.clone()), contexts }
        };
        homes.entry(namespace.to_owned()).or_insert_with(made).clone()
    }

    /// Forgets that of a namespace in which nothing runs.
    pub(super) fn forget(&self, namespace: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }
}
