//! Who asks: JSON Web Tokens, checked against an issuer's public keys.

use std::{collections::BTreeSet, sync::Arc};

use axum::http::{HeaderMap, header};
use easycode_contract::{
    context::TenantContext,
    delegation::Actor,
    runtime::{JWKS_PATH, USER_AUDIENCE},
};
use jsonwebtoken::{Algorithm, Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Config,
    keys::{Key, KeyLocation, KeySource, Keys},
    verified::{Verified, VerifiedTokens},
};

/// What a user's token says.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    /// Who has signed it.
    pub iss: String,
    /// The user.
    pub sub: String,
    /// The tenant the user works for.
    pub tenant: String,
    /// Uid of that tenant, if the issuer tells.
    #[serde(default)]
    pub tenant_uid: Option<String>,
    /// What the user may do there.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// The user's session, if the issuer tells.
    #[serde(default)]
    pub sid: Option<String>,
    /// The service that acts for the user, if it is not the user who asks.
    #[serde(default)]
    pub act: Option<Actor>,
    /// When the token was issued, in seconds since 1970.
    #[serde(default)]
    pub iat: Option<f64>,
    /// When the token expires, in seconds since 1970.
    pub exp: f64,
}

impl Claims {
    /// Refuses what was issued for a tenant that had the name before this one: by its uid if the token tells one, and in any case by
    /// the time of issue.
    pub(crate) fn check_tenant(&self, context: &TenantContext) -> Result<(), Rejected> {
        let is_other = self.tenant_uid.as_ref().is_some_and(|uid| !context.uid.is_empty() && *uid != context.uid);
        if is_other {
            return Err(Rejected::Invalid("it is of a former tenant of this name; sign in again".to_owned()));
        }
        let Some(created_at) = context.created_at else { return Ok(()) };
        let Some(issued_at) = self.iat else {
            return Err(Rejected::Invalid("it does not tell when it was issued (iat)".to_owned()));
        };
        // Whole seconds since 1970 are exact in a float.
        #[allow(clippy::cast_precision_loss)]
        if issued_at < created_at as f64 {
            return Err(Rejected::Invalid("it was issued before the tenant was created; sign in again".to_owned()));
        }
        Ok(())
    }
}

/// The token that a request bears in `Authorization`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Whose token it claims to be; nothing of it is checked.
pub(crate) fn issuer(token: &str) -> Result<String, Rejected> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let claimed: Issued = insecure_decode_claims(token).map_err(|error| Rejected::Invalid(error.to_string()))?;
    Ok(claimed.iss)
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

/// Checks tokens of one issuer for one audience.
pub struct Verifier<S> {
    keys: Arc<Keys<S>>,
    issuer: String,
    audience: String,
}

impl<S: KeySource> Verifier<S> {
    /// A verifier that has no keys yet.
    pub fn new(source: S, issuer: &str, audience: &str) -> Self {
        Self { keys: Arc::new(Keys::new(source)), issuer: issuer.to_owned(), audience: audience.to_owned() }
    }

    /// Checks signature, issuer, audience and times, and returns the claims.
    pub async fn verify<C: DeserializeOwned + Clone>(&self, token: &str) -> Result<C, Rejected> {
        Ok(self.check(token).await?.0)
    }

    /// The same, with the key that has signed it, and that key's name.
    async fn check<C: DeserializeOwned + Clone>(&self, token: &str) -> Result<(C, String, Arc<Key>), Rejected> {
        let invalid = |error: jsonwebtoken::errors::Error| Rejected::Invalid(error.to_string());
        let header = decode_header(token).map_err(invalid)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Rejected::Invalid(format!("algorithm {:?} is not accepted", header.alg)));
        }
        let kid = header.kid.ok_or_else(|| Rejected::Invalid("it names no key (kid)".to_owned()))?;
        let key = self.keys.key(&kid).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        let claims = decode::<C>(token, &key.decoding, &validation).map_err(invalid)?.claims;
        Ok((claims, kid, key))
    }
}

/// Those whose tokens for users count: whom the platform or instance names, and its own user-service.
pub struct Issuers<S = KeyLocation> {
    issuers: Vec<Verifier<S>>,
    verified: VerifiedTokens,
}

impl Issuers {
    /// As configured.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let named = Verifier::new(KeyLocation::new(&config.jwks), &config.issuer, USER_AUDIENCE);
        let own = config.user_service.as_deref();
        let own = own.map(|url| Verifier::new(KeyLocation::new(&format!("{url}{JWKS_PATH}")), url, USER_AUDIENCE));
        std::iter::once(named).chain(own).collect()
    }
}

impl<S> FromIterator<Verifier<S>> for Issuers<S> {
    fn from_iter<I: IntoIterator<Item = Verifier<S>>>(issuers: I) -> Self {
        Self { issuers: issuers.into_iter().collect(), verified: VerifiedTokens::default() }
    }
}

impl<S: KeySource> Issuers<S> {
    /// Checks the token by the issuer that it claims to be of, if that is one of these.
    pub async fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        if let Some(verified) = self.verified.get(token) {
            // Asked for each time, so that a key counts no longer for a token that is known than for others.
            let present = self.issuers[verified.issuer].keys.key(&verified.kid).await?;
            if Arc::ptr_eq(&present, &verified.key) {
                return Ok(verified.claims.clone());
            }
        }
        let claimed = issuer(token)?;
        let issuer = self.issuers.iter().position(|one| one.issuer == claimed);
        let issuer = issuer.ok_or_else(|| Rejected::Invalid("InvalidIssuer".to_owned()))?;
        let (claims, kid, key) = self.issuers[issuer].check::<Claims>(token).await?;
        let kept = Verified { claims: claims.clone(), issuer, kid: kid.into(), key };
        self.verified.insert(token, kept);
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use jsonwebtoken::{
        EncodingKey, Header, encode,
        jwk::{Jwk, JwkSet},
    };
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.example.com";

    /// A private key made out of a number.
    fn private(seed: u8) -> EncodingKey {
        let header = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        EncodingKey::from_ed_der(&[header.as_slice(), &[seed; 32]].concat())
    }

    /// An issuer that publishes what it is told to.
    #[derive(Default)]
    struct Published {
        keys: Mutex<Vec<(&'static str, u8)>>,
        read: AtomicUsize,
    }

    impl KeySource for Arc<Published> {
        async fn read(&self) -> anyhow::Result<JwkSet> {
            self.read.fetch_add(1, Ordering::SeqCst);
            let keys = self.keys.lock().unwrap().clone();
            let public = |(kid, seed): (&str, u8)| {
                let mut jwk = Jwk::from_encoding_key(&private(seed), Algorithm::EdDSA)?;
                jwk.common.key_id = Some(kid.to_owned());
                anyhow::Ok(jwk)
            };
            Ok(JwkSet { keys: keys.into_iter().map(public).collect::<Result<_, _>>()? })
        }
    }

    struct Fixture {
        published: Arc<Published>,
        issuers: Issuers<Arc<Published>>,
    }

    impl Fixture {
        fn new(keys: &[(&'static str, u8)]) -> Self {
            let published = Arc::new(Published::default());
            *published.keys.lock().unwrap() = keys.to_vec();
            let verifier = Verifier::new(Arc::clone(&published), ISSUER, USER_AUDIENCE);
            Self { published, issuers: std::iter::once(verifier).collect() }
        }

        /// The issuer publishes other keys, and it is time to look.
        async fn publish(&self, keys: &[(&'static str, u8)]) {
            *self.published.keys.lock().unwrap() = keys.to_vec();
            self.issuers.issuers[0].keys.look_anew().await;
        }

        async fn accepts(&self, token: &str) -> bool {
            self.issuers.verify(token).await.is_ok()
        }
    }

    fn token(kid: &str, seed: u8, lifetime: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": USER_AUDIENCE, "sub": "ada", "tenant": "aurora", "roles": ["crm-user"],
            "exp": now.checked_add_signed(lifetime).unwrap(),
        });
        encode(&Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) }, &claims, &private(seed)).unwrap()
    }

    #[test]
    fn a_token_is_of_one_tenant_and_of_none_that_has_its_name_later() {
        let context = |uid: &str, created_at: Option<i64>| -> TenantContext {
            serde_json::from_value(json!({
                "tenant": "aurora", "uid": uid, "createdAt": created_at, "displayName": "Aurora", "generation": 1,
                "state": "Active", "entitlements": {}, "databaseRole": "t", "release": "1",
                "dataUse": { "analytics": "None", "aiTraining": "None" },
                "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1, "requestsPerSecond": 1 },
            }))
            .unwrap()
        };
        let counts = |claims: &serde_json::Value, context: &TenantContext| {
            let mut full = json!({ "iss": ISSUER, "sub": "ada", "tenant": "aurora", "exp": 2000 });
            full.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            serde_json::from_value::<Claims>(full).unwrap().check_tenant(context).is_ok()
        };
        let present = context("b", Some(1000));
        assert!(counts(&json!({ "iat": 1000, "tenant_uid": "b" }), &present));
        assert!(counts(&json!({ "iat": 1000 }), &present), "another issuer need not know of uids");
        assert!(!counts(&json!({ "iat": 1500, "tenant_uid": "a" }), &present), "the one before");
        assert!(!counts(&json!({ "iat": 999.9 }), &present), "before it was created");
        assert!(!counts(&json!({ "iat": 999, "tenant_uid": "b" }), &present));
        assert!(!counts(&json!({}), &present), "nobody knows when");
        assert!(counts(&json!({ "tenant_uid": "a" }), &context("", None)), "an operator that tells neither");
    }

    #[tokio::test]
    async fn a_known_token_says_the_same_again() {
        let fixture = Fixture::new(&[("a", 1)]);
        let token = token("a", 1, 60);
        for _ in 0..3 {
            let claims = fixture.issuers.verify(&token).await.unwrap();
            assert_eq!((claims.sub.as_str(), claims.tenant.as_str()), ("ada", "aurora"));
            assert!(claims.roles.contains("crm-user"));
        }
        assert!(fixture.issuers.verified.get(&token).is_some());
    }

    #[tokio::test]
    async fn a_known_token_ends_with_its_key() {
        let fixture = Fixture::new(&[("a", 1), ("b", 2)]);
        let (of_a, of_b) = (token("a", 1, 60), token("b", 2, 60));
        assert!(fixture.accepts(&of_a).await && fixture.accepts(&of_b).await);
        fixture.publish(&[("b", 2)]).await;
        assert!(!fixture.accepts(&of_a).await, "its key was taken back");
        assert!(fixture.accepts(&of_b).await);
        // Another key of the same name is not the one that has signed it.
        fixture.publish(&[("b", 3)]).await;
        assert!(!fixture.accepts(&of_b).await);
        assert!(fixture.accepts(&token("b", 3, 60)).await);
    }

    #[tokio::test]
    async fn a_key_that_stays_published_is_the_same_key() {
        let fixture = Fixture::new(&[("a", 1)]);
        assert!(fixture.accepts(&token("a", 1, 60)).await);
        let keys = &fixture.issuers.issuers[0].keys;
        let before = keys.key("a").await.unwrap();
        fixture.publish(&[("b", 2), ("a", 1)]).await;
        assert!(Arc::ptr_eq(&before, &keys.key("a").await.unwrap()));
        assert_eq!(fixture.published.read.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_is_changed_in_a_known_token_is_found() {
        let fixture = Fixture::new(&[("a", 1)]);
        let genuine = token("a", 1, 60);
        assert!(fixture.accepts(&genuine).await);
        let parts: Vec<_> = genuine.split('.').collect();
        let other = token("a", 1, 3600);
        let other: Vec<_> = other.split('.').collect();
        assert!(!fixture.accepts(&[parts[0], other[1], parts[2]].join(".")).await, "the claims of another");
        assert!(!fixture.accepts(&[parts[0], parts[1], other[2]].join(".")).await, "the signature of another");
        assert!(!fixture.accepts(&[parts[0], parts[1], ""].join(".")).await, "none");
        assert!(fixture.accepts(&genuine).await);
    }

    #[tokio::test]
    async fn a_known_token_expires() {
        let fixture = Fixture::new(&[("a", 1)]);
        let token = token("a", 1, -3);
        assert!(fixture.accepts(&token).await, "within the leeway");
        assert!(fixture.issuers.verified.get(&token).is_none(), "and not without being checked");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!fixture.accepts(&token).await);
    }
}
