//! Events, each said once per change: a repetition in a row of the same reason and note for an object is not published.

use std::collections::HashMap;

use kube::{
    Client, Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::Mutex;
use tracing::warn;

/// Publishes events about objects.
pub struct Events {
    recorder: Recorder,
    last: Mutex<HashMap<String, (String, String)>>,
}

impl Events {
    /// Publishes in the name of the given replica.
    #[must_use]
    pub fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: "easycode-operator".to_owned(), instance: Some(pod.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), last: Mutex::default() }
    }

    /// Something took place as wanted.
    pub async fn normal<K>(&self, object: &K, action: &str, reason: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.publish(object, EventType::Normal, action, reason, note).await;
    }

    /// Something needs a person's attention.
    pub async fn warning<K>(&self, object: &K, action: &str, reason: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.publish(object, EventType::Warning, action, reason, note).await;
    }

    async fn publish<K>(&self, object: &K, type_: EventType, action: &str, reason: &str, mut note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        // The API takes at most 1,024 bytes.
        while note.len() > 1_000 {
            note.pop();
        }
        let said = (reason.to_owned(), note.clone());
        let key = object.uid().unwrap_or_else(|| object.name_any());
        if self.last.lock().await.insert(key, said.clone()) == Some(said) {
            return;
        }
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        // An event that is lost must not hold up the work it tells of.
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(%error, reason, "event not published");
        }
    }
}
