//! Who asks: JSON Web Tokens, checked against an issuer's public keys.

use std::{collections::BTreeSet, sync::Arc};

use easycode_contract::runtime::{JWKS_PATH, USER_AUDIENCE};
use jsonwebtoken::{Algorithm, Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Config,
    keys::{KeyLocation, KeySource, Keys},
};

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
    /// The user's session, if the issuer tells.
    #[serde(default)]
    pub sid: Option<String>,
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
        Ok(decode::<C>(token, &key, &validation).map_err(invalid)?.claims)
    }
}

/// Those whose tokens for users count: whom the platform or instance names, and its own user-service.
pub struct Issuers(Vec<Verifier<KeyLocation>>);

#[derive(Clone, Deserialize)]
struct Issued {
    iss: String,
}

impl Issuers {
    /// As configured.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let named = Verifier::new(KeyLocation::new(&config.jwks), &config.issuer, USER_AUDIENCE);
        let own = config.user_service.as_deref();
        let own = own.map(|url| Verifier::new(KeyLocation::new(&format!("{url}{JWKS_PATH}")), url, USER_AUDIENCE));
        Self(std::iter::once(named).chain(own).collect())
    }

    /// Checks the token by the issuer that it claims to be of, if that is one of these.
    pub async fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        let claimed: Issued = insecure_decode_claims(token).map_err(|error| Rejected::Invalid(error.to_string()))?;
        let issuer = self.0.iter().find(|one| one.issuer == claimed.iss);
        issuer.ok_or_else(|| Rejected::Invalid("InvalidIssuer".to_owned()))?.verify(token).await
    }
}
