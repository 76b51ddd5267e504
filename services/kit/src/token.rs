//! Who asks: JSON Web Tokens, checked against an issuer's public keys.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::RwLock,
    time::{Duration, Instant, SystemTime},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

/// What a user's token says.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The tenant the user works for.
    pub tenant: String,
    /// What the user may do there.
    #[serde(default)]
    pub roles: BTreeSet<String>,
}

/// Why a token does not count. The text may be sent to the caller.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// It is no token of the issuer.
    #[error("the token is not acceptable: {0}")]
    Invalid(String),
    /// The issuer's keys are not there.
    #[error("the issuer's keys can't be read; try again")]
    NoKeys,
}

/// Only signatures that need a private key: with a shared secret anyone who can check could sign.
const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
/// Least time between two looks for keys.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

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

struct Known {
    keys: JwkSet,
    stamp: Option<SystemTime>,
    looked: Instant,
}

/// Checks tokens of one issuer for one audience.
pub struct Verifier<S> {
    source: S,
    issuer: String,
    audience: String,
    known: RwLock<Option<Known>>,
    looking: Mutex<()>,
}

impl<S: KeySource> Verifier<S> {
    /// A verifier that has no keys yet.
    pub fn new(source: S, issuer: &str, audience: &str) -> Self {
        Self {
            source,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            known: RwLock::default(),
            looking: Mutex::default(),
        }
    }

    /// Checks signature, issuer, audience and times, and returns the claims.
    pub async fn verify<C: DeserializeOwned + Clone>(&self, token: &str) -> Result<C, Rejected> {
        let invalid = |error: jsonwebtoken::errors::Error| Rejected::Invalid(error.to_string());
        let header = decode_header(token).map_err(invalid)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Rejected::Invalid(format!("algorithm {:?} is not accepted", header.alg)));
        }
        let kid = header.kid.ok_or_else(|| Rejected::Invalid("it names no key (kid)".to_owned()))?;
        let key = self.key(&kid).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        Ok(decode::<C>(token, &key, &validation).map_err(invalid)?.claims)
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Rejected> {
        if let Some(key) = self.known_key(kid, true) {
            return Ok(key);
        }
        let _one_at_a_time = self.looking.lock().await;
        if let Some(key) = self.known_key(kid, true) {
            return Ok(key);
        }
        let stamp = self.source.stamp();
        let recent = self
            .known
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .as_ref()
            .is_some_and(|known| known.stamp == stamp && known.looked.elapsed() < LOOK_AGAIN);
        if !recent {
            match self.source.read().await {
                Ok(keys) => {
                    let fresh = Known { keys, stamp, looked: Instant::now() };
                    *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(fresh);
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the issuer's keys can't be read");
                    // Keys that were good stay good while the issuer is away.
                    return self.known_key(kid, false).ok_or(Rejected::NoKeys);
                }
            }
        }
        self.known_key(kid, false).ok_or_else(|| Rejected::Invalid("it is signed with an unknown key".to_owned()))
    }

    fn known_key(&self, kid: &str, only_current: bool) -> Option<DecodingKey> {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = known.as_ref()?;
        if only_current && known.stamp != self.source.stamp() {
            return None;
        }
        known.keys.find(kid).and_then(|jwk| DecodingKey::from_jwk(jwk).ok())
    }
}
