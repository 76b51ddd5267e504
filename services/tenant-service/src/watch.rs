//! Watches the ConfigMaps with tenants' contexts. While the API server is away the last known contexts stay good: a
//! platform must not stop serving because nobody can change its config.

use easycode_contract::{
    context::TenantContext,
    runtime::{CONTEXT_KEY, TENANT_LABEL},
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tracing::{error, warn};

use crate::publisher::Publisher;

/// Follows for as long as the process lives.
pub async fn follow(client: Client, namespace: String, publisher: Publisher) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let events = watcher(api, watcher::Config::default().labels(TENANT_LABEL)).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.extend(object.labels().get(TENANT_LABEL).cloned());
                configure(&object, &publisher);
            }
            Ok(Event::InitDone) => publisher.list(&listed),
            Ok(Event::Apply(object)) => configure(&object, &publisher),
            Ok(Event::Delete(object)) => {
                if let Some(tenant) = object.labels().get(TENANT_LABEL) {
                    publisher.remove(tenant);
                }
            }
            Err(error) => warn!(%error, "the watch of ConfigMaps was interrupted, retrying"),
        }
    }
}

/// A document that can't be read leaves the last good one in force.
fn configure(object: &ConfigMap, publisher: &Publisher) {
    let document = object.data.as_ref().and_then(|data| data.get(CONTEXT_KEY)).map(String::as_str).unwrap_or_default();
    match serde_json::from_str::<TenantContext>(document) {
        // The label is what the watch goes by: a document in the name of another tenant is not believed.
        Ok(context) if object.labels().get(TENANT_LABEL) == Some(&context.tenant) => publisher.configure(context),
        Ok(_) => error!(name = object.name_any(), "the document names another tenant than the label"),
        Err(error) => error!(%error, name = object.name_any(), "the document can't be read, the last good one stays"),
    }
}
