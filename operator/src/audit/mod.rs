//! The audit trail: what of the custom resources' specs is still to be recorded, and who wrote it. The records go to the
//! database of the home that the object is in, or is: [`crate::postgres::audit`].

pub mod author;
pub mod server;
pub mod trail;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::{
    Resource, ResourceExt,
    core::object::HasSpec,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use self::author::Author;
use crate::{
    postgres::{
        self, Database,
        audit::{Account, CHANGED, CREATED, DELETED, Known, Record, Subject},
    },
    runtime::context::Context,
    stack::home::{Home, HomeObject},
};

/// Most versions of one object's spec that wait to be recorded.
const WAITING: usize = 50;

/// A version of an object's spec, as it was seen.
#[derive(Clone, Debug, PartialEq)]
struct Sighting {
    subject: Subject,
    spec: Value,
    author: Author,
    deleter: Option<Author>,
}

/// Versions of specs that were followed by another before anyone could record them.
#[derive(Default)]
pub struct Ledger(Mutex<HashMap<String, BTreeMap<i64, Sighting>>>);

impl Ledger {
    /// Keeps what the event is about to replace in the store.
    pub fn follow<K>(&self, event: &Event<K>, store: &Store<K>)
    where
        K: Resource<DynamicType = ()> + HasSpec + Clone,
        K::Spec: Serialize,
    {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(before) = store.get(&ObjectRef::from(object))
                    && before.uid() == object.uid()
                    && before.meta().generation < object.meta().generation
                {
                    self.keep(sighting(before.as_ref()));
                }
            }
            Event::Delete(object) => {
                self.lock().remove(&object.uid().unwrap_or_default());
            }
            Event::Init | Event::InitDone => {}
        }
    }

    fn keep(&self, sighting: Sighting) {
        let mut all = self.lock();
        let waiting = all.entry(sighting.subject.uid.clone()).or_default();
        waiting.insert(sighting.subject.generation, sighting);
        if waiting.len() > WAITING {
            waiting.pop_first();
        }
    }

    /// What is to be recorded with the next request for the object to this database.
    #[must_use]
    pub fn account<K>(&self, object: &K, database: &Database) -> Account
    where
        K: Resource<DynamicType = ()> + HasSpec,
        K::Spec: Serialize,
    {
        let subject = subject(object);
        let known = database.recorded(&subject.uid);
        Account { records: self.due(&subject, known, || sighting(object)), subject, adopted: None }
    }

    fn due(&self, subject: &Subject, mut known: Known, present: impl Fn() -> Sighting) -> Vec<Record> {
        let mut all = self.lock();
        let mut due = match all.get_mut(&subject.uid) {
            Some(waiting) => {
                *waiting = waiting.split_off(&(known.generation + 1));
                waiting.values().cloned().collect()
            }
            None => Vec::new(),
        };
        if due.is_empty() {
            all.remove(&subject.uid);
        }
        if known.generation < subject.generation {
            due.push(present());
        }
        due.into_iter().map(|sighting| record(sighting, &mut known)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<i64, Sighting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records what is due of the object in the home's database, once that is connected and answers, and not by the way with
/// something else.
pub async fn record_due<K>(object: &K, home: &Home, context: &Context) -> Result<(), postgres::Error>
where
    K: Resource<DynamicType = ()> + HasSpec,
    K::Spec: Serialize,
{
    match context.databases.answering(home) {
        Some(database) => database.record(&context.ledger.account(object, &database).records).await,
        None => Ok(()),
    }
}

/// Records an act on what belongs to the platform or the instance as a whole, its logins say.
pub async fn record_act(
    home: &Home,
    act: &'static str,
    words: &str,
    database: &Database,
    context: &Context,
) -> Result<(), postgres::Error> {
    let subject = context.object_of(home).map(|object| match object {
        HomeObject::Platform(platform) => subject(&*platform),
        HomeObject::Instance(instance) => subject(&*instance),
    });
    // One that is gone has nothing done for it.
    match subject {
        Some(subject) => database.record(&[Record::of_act(&subject, act, words, None)]).await,
        None => Ok(()),
    }
}

/// Whose records those of the object are.
#[must_use]
pub fn subject(object: &impl Resource<DynamicType = ()>) -> Subject {
    Subject {
        kind: kind_of(object),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.meta().generation.unwrap_or_default(),
    }
}

fn kind_of<K: Resource<DynamicType = ()>>(_: &K) -> String {
    K::kind(&()).into_owned()
}

fn sighting<K>(object: &K) -> Sighting
where
    K: Resource<DynamicType = ()> + HasSpec,
    K::Spec: Serialize,
{
    let meta = object.meta();
    Sighting {
        subject: subject(object),
        spec: serde_json::to_value(object.spec()).expect("a spec has only string keys"),
        author: author::of_spec(meta),
        deleter: meta.deletion_timestamp.is_some().then(|| author::of_deletion(meta)),
    }
}

fn record(sighting: Sighting, known: &mut Known) -> Record {
    let Sighting { subject, spec, author, deleter } = sighting;
    let (act, author) = match deleter {
        Some(deleter) if !known.deleted => (DELETED, deleter),
        // Who only takes a field away leaves neither name nor time, so the last one with a name is not the one.
        _ if author.written.is_none() || author.written <= known.written => (CHANGED, Author::default()),
        _ => (CHANGED, author),
    };
    let act = if act == CHANGED && subject.generation == 1 { CREATED } else { act };
    if act == DELETED {
        known.deleted = true;
    } else {
        known.written = known.written.max(author.written);
    }
    let actor = author.name().to_owned();
    let mut detail = json!({ "spec": spec });
    if let Some(manager) = author.manager {
        detail["manager"] = manager.into();
    }
    if let Some(written) = author.written {
        detail["written"] = written.to_string().into();
    }
    Record { subject, actor, act, once: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighted(generation: i64, manager: &str, second: u32) -> Sighting {
        let written = Some(format!("2026-11-24T15:00:{second:02}Z").parse().unwrap());
        let author = Author { manager: Some(manager.to_owned()), written, ..Author::default() };
        let subject = Subject { kind: "Tenant".to_owned(), name: "acme".to_owned(), uid: "u".to_owned(), generation };
        Sighting { subject, spec: json!({ "generation": generation }), author, deleter: None }
    }

    fn told(records: &[Record]) -> Vec<(i64, &'static str, &str)> {
        records.iter().map(|record| (record.subject.generation, record.act, record.actor.as_str())).collect()
    }

    #[test]
    fn each_generation_is_told_of_once_though_many_came_at_once() {
        let ledger = Ledger::default();
        ledger.keep(sighted(1, "a", 1));
        ledger.keep(sighted(2, "b", 2));
        let present = sighted(3, "c", 3);
        let due = |known| ledger.due(&present.subject, known, || present.clone());
        assert_eq!(told(&due(Known::default())), [(1, CREATED, "a"), (2, CHANGED, "b"), (3, CHANGED, "c")]);
        let known = Known { generation: 2, written: present.author.written, deleted: false };
        assert_eq!(told(&due(known)).len(), 1, "the first two are recorded");
        assert_eq!(due(Known { generation: 3, ..known }), []);
        assert!(ledger.lock().is_empty());
    }

    #[test]
    fn who_left_no_name_is_not_taken_for_the_last_who_did() {
        let mut known = Known::default();
        assert_eq!(record(sighted(1, "a", 1), &mut known).actor, "a");
        let removal = record(sighted(2, "a", 1), &mut known);
        assert_eq!((removal.actor.as_str(), removal.detail.get("manager")), (author::UNKNOWN, None));
        assert_eq!(record(sighted(3, "b", 2), &mut known).actor, "b");
    }

    #[test]
    fn a_change_amid_a_deletion_is_a_change() {
        let mut known = Known::default();
        let deleter = Some(Author { manager: Some("k".to_owned()), ..Author::default() });
        let deletion = Sighting { deleter: deleter.clone(), ..sighted(2, "a", 1) };
        assert_eq!(told(&[record(deletion, &mut known)]), [(2, DELETED, "k")]);
        let changed = Sighting { deleter, ..sighted(3, "b", 2) };
        assert_eq!(told(&[record(changed, &mut known)]), [(3, CHANGED, "b")]);
    }
}
