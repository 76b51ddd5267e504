//! Makes planned objects so, by server-side apply, and only where something differs.

use std::{collections::HashMap, sync::Arc};

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy},
};
use serde_json::json;
use tokio::sync::Mutex;
use tracing::info;

use super::{
    FIELD_MANAGER,
    cache::Caches,
    labels,
    object::{Kind, Planned, short_hash},
};

/// Kind, namespace and name.
type Key = (Kind, String, String);

/// Applies planned objects. Remembers which live version already answered a plan, so that a value which the API server
/// writes in another notation (a quantity, say) is not applied again.
pub struct Applier {
    client: Client,
    answered: Mutex<HashMap<Key, (String, u64)>>,
}

impl Applier {
    /// An applier for the client's cluster.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, answered: Mutex::default() }
    }

    /// The API of a kind in a namespace.
    #[must_use]
    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        if kind == Kind::Namespace {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// Applies the object if the cache has no such object or a different one. Returns whether it wrote.
    pub async fn apply(&self, planned: &Planned, caches: &Caches) -> Result<bool, kube::Error> {
        // Of these the default values are not known, so a field that is no longer planned could not be told from one.
        let marked = planned.kind.is_read().then(|| marked(planned));
        let planned = marked.as_ref().unwrap_or(planned);
        let live = match caches.get(planned.kind, &planned.namespace, &planned.name) {
            None if planned.kind.is_read() => {
                self.api(planned.kind, &planned.namespace).get_opt(&planned.name).await?.map(Arc::new)
            }
            known => known,
        };
        let key = (planned.kind, planned.namespace.clone(), planned.name.clone());
        let fingerprint = fingerprint(&planned.body);
        if let Some(live) = &live {
            if planned.is_satisfied_by(live) {
                return Ok(false);
            }
            let version = live.resource_version().unwrap_or_default();
            if self.answered.lock().await.get(&key) == Some(&(version, fingerprint)) {
                return Ok(false);
            }
        }
        info!(kind = ?planned.kind, namespace = planned.namespace, name = planned.name, existed = live.is_some(), "applying");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(planned.kind, &planned.namespace);
        let mut applied = api.patch(&planned.name, &params, &Patch::Apply(&planned.body)).await?;
        if live.is_some() && !planned.is_satisfied_by(&applied) {
            // What another manager added to a list or a map stays after an apply. A merge patch replaces lists as a whole.
            let patch = planned.closing(&applied);
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            applied = api.patch(&planned.name, &params, &Patch::Merge(&patch)).await?;
        }
        self.answered.lock().await.insert(key, (applied.resource_version().unwrap_or_default(), fingerprint));
        Ok(true)
    }

    /// Leaves the number of a Deployment's pods, which is planned no longer, as it is: a field that nobody owns any more would go back
    /// to its default, which is one pod, until the autoscaler sets it.
    pub async fn leave_replicas(&self, namespace: &str, name: &str, replicas: i64) -> Result<(), kube::Error> {
        let body = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": namespace },
            "spec": { "replicas": replicas },
        });
        let params = PatchParams::apply(&format!("{FIELD_MANAGER}-autoscaled")).force();
        self.api(Kind::Deployment, namespace).patch(name, &params, &Patch::Apply(body)).await?;
        Ok(())
    }

    /// Deletes an object with all that hangs on it; it being gone already is fine.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<(), kube::Error> {
        info!(?kind, namespace, name, "deleting");
        self.answered.lock().await.remove(&(kind, namespace.to_owned(), name.to_owned()));
        let params =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        match self.api(kind, namespace).delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// With what was planned in an annotation.
fn marked(planned: &Planned) -> Planned {
    let mut marked = planned.clone();
    marked.body["metadata"]["annotations"][labels::PLANNED] = short_hash(&planned.body).into();
    marked
}

fn fingerprint(body: &serde_json::Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    body.to_string().hash(&mut hasher);
    hasher.finish()
}
