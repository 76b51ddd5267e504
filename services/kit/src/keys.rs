//! An issuer's public keys: where they come from, and how long they are believed. A key that the issuer takes back must
//! not count for much longer, and an issuer that is away for a while must not stop anyone.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant, SystemTime},
};

use jsonwebtoken::{
    DecodingKey,
    jwk::{Jwk, JwkSet},
};
use tokio::sync::Mutex;

use crate::token::Rejected;

/// Age from which keys are looked up again, without anyone waiting for it.
const OLD: Duration = Duration::from_mins(5);
/// Age from which keys that the issuer did not confirm are refused.
const TOO_OLD: Duration = Duration::from_hours(1);
/// Least time between two looks, so that invented keys make no load for the issuer.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// The same after a look that failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where keys come from.
pub trait KeySource: Send + Sync + 'static {
    /// Reads them.
    fn read(&self) -> impl Future<Output = anyhow::Result<JwkSet>> + Send;
    /// Changes when the keys may have, as far as that can be told cheaply.
    fn stamp(&self) -> Option<SystemTime> {
        None
    }
}

/// Keys in a file or at a URL.
pub struct KeyLocation {
    location: String,
    http: reqwest::Client,
}

impl KeyLocation {
    /// A path, or an `http(s)` URL.
    #[must_use]
    pub fn new(location: &str) -> Self {
        Self { location: location.to_owned(), http: crate::http::client() }
    }

    fn is_url(&self) -> bool {
        self.location.starts_with("http://") || self.location.starts_with("https://")
    }
}

impl KeySource for KeyLocation {
    async fn read(&self) -> anyhow::Result<JwkSet> {
        if self.is_url() {
            let request = self.http.get(&self.location).timeout(Duration::from_secs(5));
            return Ok(request.send().await?.error_for_status()?.json().await?);
        }
        Ok(serde_json::from_slice(&tokio::fs::read(&self.location).await?)?)
    }

    fn stamp(&self) -> Option<SystemTime> {
        if self.is_url() { None } else { Path::new(&self.location).metadata().and_then(|data| data.modified()).ok() }
    }
}

/// A public key. As long as the issuer publishes the very same it is the same object, so that what was checked with it need not be
/// checked again.
pub(crate) struct Key {
    published: Jwk,
    /// To check with.
    pub(crate) decoding: DecodingKey,
}

struct Known {
    /// By name.
    keys: HashMap<String, Arc<Key>>,
    stamp: Option<SystemTime>,
    /// When the issuer last gave them.
    confirmed: Option<Instant>,
    /// When the issuer was last asked, and whether it answered.
    looked: Option<(Instant, bool)>,
}

impl Known {
    fn age(&self) -> Duration {
        self.confirmed.map_or(Duration::MAX, |at| at.elapsed())
    }

    fn may_look(&self) -> bool {
        self.looked.is_none_or(|(at, answered)| at.elapsed() >= if answered { LOOK_AGAIN } else { TRY_AGAIN })
    }

    fn key(&self, kid: &str) -> Option<Arc<Key>> {
        if self.age() >= TOO_OLD { None } else { self.keys.get(kid).cloned() }
    }

    /// What the issuer publishes now. Keys without a name can't be asked for, and of two with the same the first counts.
    fn renewed(&self, published: JwkSet) -> HashMap<String, Arc<Key>> {
        let mut keys = HashMap::new();
        for jwk in published.keys {
            let Some(kid) = jwk.common.key_id.clone() else { continue };
            let known = self.keys.get(&kid).filter(|known| known.published == jwk).cloned();
            let made = || Some(Arc::new(Key { decoding: DecodingKey::from_jwk(&jwk).ok()?, published: jwk.clone() }));
            if let Some(key) = known.or_else(made) {
                keys.entry(kid).or_insert(key);
            }
        }
        keys
    }
}

/// The keys of one issuer.
pub(crate) struct Keys<S> {
    source: S,
    known: RwLock<Known>,
    looking: Arc<Mutex<()>>,
}

impl<S: KeySource> Keys<S> {
    pub(crate) fn new(source: S) -> Self {
        let known = Known { keys: HashMap::new(), stamp: None, confirmed: None, looked: None };
        Self { source, known: RwLock::new(known), looking: Arc::default() }
    }

    /// The key of that name. Waits for the issuer only if the key is unknown, or not confirmed for too long.
    pub(crate) async fn key(self: &Arc<Self>, kid: &str) -> Result<Arc<Key>, Rejected> {
        if let Some(key) = self.current(kid) {
            self.refresh();
            return Ok(key);
        }
        let _one_at_a_time = self.looking.lock().await;
        if let Some(key) = self.current(kid) {
            return Ok(key);
        }
        let stamp = self.source.stamp();
        let look = {
            let known = self.read();
            known.may_look() || known.stamp != stamp
        };
        if look {
            self.look(stamp).await;
        }
        let known = self.read();
        // Keys that were good stay good for a while if they can't be read.
        known.key(kid).ok_or_else(|| match known.looked {
            Some((_, true)) => Rejected::Invalid("it is signed with an unknown key".to_owned()),
            _ => Rejected::NoKeys,
        })
    }

    /// Looks for old keys again, on the side.
    fn refresh(self: &Arc<Self>) {
        let due = {
            let known = self.read();
            known.age() >= OLD && known.may_look()
        };
        if due && let Ok(one_at_a_time) = Arc::clone(&self.looking).try_lock_owned() {
            let keys = Arc::clone(self);
            tokio::spawn(async move {
                keys.look(keys.source.stamp()).await;
                drop(one_at_a_time);
            });
        }
    }

    async fn look(&self, stamp: Option<SystemTime>) {
        let outcome = self.source.read().await;
        let now = Instant::now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.looked = Some((now, outcome.is_ok()));
        match outcome {
            Ok(published) => {
                let keys = known.renewed(published);
                *known = Known { keys, stamp, confirmed: Some(now), looked: known.looked };
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the issuer's keys can't be read"),
        }
    }

    fn current(&self, kid: &str) -> Option<Arc<Key>> {
        let known = self.read();
        if known.stamp == self.source.stamp() { known.key(kid) } else { None }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Key {
    /// A key of no issuer.
    pub(crate) fn of_nobody() -> Self {
        let published = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": "" });
        Self { published: serde_json::from_value(published).unwrap(), decoding: DecodingKey::from_secret(b"none") }
    }
}

#[cfg(test)]
impl<S: KeySource> Keys<S> {
    /// Looks, however young the keys are.
    pub(crate) async fn look_anew(&self) {
        self.look(self.source.stamp()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// An issuer whose keys can be changed, and that can be away or slow.
    #[derive(Default)]
    struct Issuer {
        kids: std::sync::Mutex<Option<Vec<&'static str>>>,
        slow: Option<Duration>,
        asked: AtomicUsize,
    }

    impl KeySource for Issuer {
        async fn read(&self) -> anyhow::Result<JwkSet> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.slow.unwrap_or_default()).await;
            let kids = self.kids.lock().unwrap().clone().ok_or_else(|| anyhow::anyhow!("it is away"))?;
            let jwk = |kid: &str| {
                let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
                serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
            };
            let keys: Vec<_> = kids.into_iter().map(jwk).collect();
            Ok(serde_json::from_value(serde_json::json!({ "keys": keys }))?)
        }
    }

    impl Keys<Issuer> {
        fn of(kids: &[&'static str], slow: Option<Duration>) -> Arc<Self> {
            let keys = Self::new(Issuer { slow, ..Issuer::default() });
            keys.publish(Some(kids));
            Arc::new(keys)
        }

        fn publish(&self, kids: Option<&[&'static str]>) {
            *self.source.kids.lock().unwrap() = kids.map(<[_]>::to_vec);
        }

        fn asked(&self) -> usize {
            self.source.asked.load(Ordering::SeqCst)
        }

        /// As if that much time had passed.
        fn pass(&self, time: Duration) {
            let mut known = self.known.write().unwrap();
            known.confirmed = known.confirmed.and_then(|at| at.checked_sub(time));
            known.looked = known.looked.and_then(|(at, answered)| Some((at.checked_sub(time)?, answered)));
        }

        /// Waits until nobody looks any more.
        async fn looked(&self) {
            drop(self.looking.lock().await);
        }
    }

    #[tokio::test]
    async fn a_key_that_was_taken_back_is_refused_after_the_next_look() {
        let keys = Keys::of(&["old", "new"], None);
        assert!(keys.key("old").await.is_ok());
        keys.publish(Some(&["new"]));
        keys.pass(OLD / 2);
        assert!(keys.key("old").await.is_ok());
        assert_eq!(keys.asked(), 1, "young keys need no look");
        keys.pass(OLD / 2);
        assert!(keys.key("old").await.is_ok(), "nobody waits for the look");
        keys.looked().await;
        assert_eq!(keys.asked(), 2);
        assert!(matches!(keys.key("old").await, Err(Rejected::Invalid(_))));
        assert!(keys.key("new").await.is_ok());
        assert_eq!(keys.asked(), 2, "an unknown key is no reason to look again at once");
    }

    #[tokio::test]
    async fn old_keys_are_looked_up_once_while_everyone_goes_on() {
        let keys = Keys::of(&["a"], Some(Duration::from_millis(200)));
        assert!(keys.key("a").await.is_ok());
        keys.pass(OLD);
        let started = Instant::now();
        for _ in 0..100 {
            assert!(keys.key("a").await.is_ok());
            tokio::task::yield_now().await;
        }
        assert!(started.elapsed() < Duration::from_millis(150), "{:?}", started.elapsed());
        keys.looked().await;
        assert_eq!(keys.asked(), 2);
    }

    #[tokio::test]
    async fn keys_that_nobody_confirms_count_for_an_hour() {
        let keys = Keys::of(&["a"], None);
        assert!(keys.key("a").await.is_ok());
        keys.publish(None);
        keys.pass(TOO_OLD / 2);
        assert!(keys.key("a").await.is_ok());
        keys.looked().await;
        assert!(keys.key("a").await.is_ok(), "a look that failed changes nothing yet");
        keys.pass(TOO_OLD / 2);
        assert!(matches!(keys.key("a").await, Err(Rejected::NoKeys)));
        keys.publish(Some(&["a"]));
        keys.pass(TRY_AGAIN);
        assert!(keys.key("a").await.is_ok(), "the issuer is back");
    }
}
