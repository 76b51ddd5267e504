//! The watch of a custom resource: a store of all its objects, and the stream of changes that its controller works on.
//!
//! Not by `reflect_shared` of kube-runtime 5.0: a handle of its that finds an object gone by the time it looks says that it waits, and is
//! woken by nobody. A controller then hears of nothing any more, for as long as the process lives.

use std::{
    future::{Future, ready},
    sync::Arc,
};

use futures::{Stream, StreamExt};
use kube::{
    Api, Client, Resource,
    core::object::HasSpec,
    runtime::{
        Predicate, PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::warn;

use crate::audit::{Ledger, author};

/// A store of all objects of a kind, the changes that matter to its controller, and the task that keeps both going. Versions of
/// the spec that come and go are kept for the ledger, if one is given.
pub fn watch<K>(
    client: &Client,
    ledger: Option<Arc<Ledger>>,
) -> (Store<K>, impl Stream<Item = watcher::Result<K>> + Send + 'static, impl Future<Output = ()> + Send + 'static)
where
    K: Resource<DynamicType = ()> + HasSpec + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::Spec: Serialize,
{
    let (store, writer) = reflector::store();
    let (sender, changes) = mpsc::unbounded_channel();
    // What the operator itself writes, its status, is no news.
    let relevant = predicates::generation
        .combine(predicates::labels)
        .combine(predicates::annotations)
        .combine(predicates::finalizers);
    let changes = UnboundedReceiverStream::new(changes).map(Ok).predicate_filter(relevant, PredicateConfig::default());
    let known = store.clone();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| author::compact(object.meta_mut()))
        .inspect(move |event| {
            if let (Ok(event), Some(ledger)) = (event, &ledger) {
                ledger.follow(event, &known);
            }
        });
    (store, changes, follow(events, writer, sender))
}

/// Keeps the store as the events say, and sends on each object once the store has it.
fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    writer: Writer<K>,
    sender: mpsc::UnboundedSender<K>,
) -> impl Future<Output = ()> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut listed = Vec::new();
    events.reflect(writer).for_each(move |event| {
        // Once the receiver is gone the controller has stopped.
        let send = |object| drop(sender.send(object));
        match event {
            Ok(Event::Apply(object)) => send(object),
            // The store shows a list only when that is complete.
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.push(object),
            Ok(Event::InitDone) => listed.drain(..).for_each(send),
            Ok(Event::Delete(_)) => {}
            Err(error) => warn!(%error, kind = %K::kind(&()), "watch interrupted, retrying"),
        }
        ready(())
    })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object
    }

    /// The names that a controller hears of that looks only after all of the events.
    fn heard_of(events: Vec<Event<ConfigMap>>) -> (usize, Vec<String>) {
        let (store, writer) = reflector::store();
        let (sender, changes) = mpsc::unbounded_channel();
        let events = stream::iter(events.into_iter().map(Ok));
        follow(events, writer, sender).now_or_never().expect("nothing to wait for");
        let heard = UnboundedReceiverStream::new(changes).map(|one: ConfigMap| one.metadata.name.unwrap_or_default());
        (store.len(), heard.collect().now_or_never().expect("nothing to wait for"))
    }

    #[test]
    fn what_is_gone_before_anyone_looks_holds_nothing_up() {
        let events = vec![Event::Apply(object("a")), Event::Delete(object("a")), Event::Apply(object("b"))];
        assert_eq!(heard_of(events), (1, vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_list_is_told_of_when_the_store_shows_it_and_one_that_was_cut_off_is_not() {
        let begun = vec![Event::Init, Event::InitApply(object("a"))];
        assert_eq!(heard_of(begun.clone()), (0, vec![]));
        let again = vec![Event::Init, Event::InitApply(object("b")), Event::InitApply(object("c")), Event::InitDone];
        let all = [begun, again].concat();
        assert_eq!(heard_of(all), (2, vec!["b".to_owned(), "c".to_owned()]));
    }
}
