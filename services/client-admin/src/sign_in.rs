//! Signing in by OpenID Connect: authorization code with PKCE, and the check of ID tokens.

use std::{sync::Arc, time::Duration};

use easycode_kit::{
    Problem,
    http::{Unread, bounded},
};
use openidconnect::{
    AdditionalClaims, AsyncHttpClient, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IdToken, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{sync::RwLock, time::Instant};
use tracing::warn;

use crate::{
    config::{BASE, Config},
    session::SigningIn,
    staff::{RoleMap, Staff},
};

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of the issuer.
const LONGEST_ANSWER: usize = 1 << 20;
/// Least time between two looks for keys that are not known yet.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);

/// Claims beside the standard ones, such as `groups`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

type StaffToken = IdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type Client = openidconnect::Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The issuer of the staff's tokens. What it publishes is read when it is first needed, and again for a key that isn't known.
pub struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    redirect: RedirectUrl,
    roles: RoleMap,
    http: Http,
    known: RwLock<Option<(Arc<Client>, Instant)>>,
}

/// Why a request to the issuer has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error(transparent)]
    Unread(#[from] Unread),
}

struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Unanswered;
    type Future = futures::future::BoxFuture<'c, Result<HttpResponse, Unanswered>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = parts.uri.to_string();
            let answer = self.0.request(parts.method, url).headers(parts.headers).body(body).send().await?;
            let mut response = http::Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok(response.body(bounded(answer, LONGEST_ANSWER).await?)?)
        })
    }
}

impl Provider {
    /// The issuer that is configured.
    ///
    /// # Panics
    /// Never: the URLs were parsed already.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let redirect = config.url.join(&format!("{BASE}/signed-in")).expect("the path is one");
        let http = easycode_kit::http::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("the settings are complete");
        // As it was given but for the slash that a URL without a path gets, since issuers are compared letter by letter.
        let issuer = config.issuer.as_str();
        let issuer = if config.issuer.path() == "/" { issuer.trim_end_matches('/') } else { issuer };
        Self {
            issuer: IssuerUrl::new(issuer.to_owned()).expect("parsed already"),
            client_id: ClientId::new(config.client_id.clone()),
            client_secret: ClientSecret::new(config.client_secret.clone()),
            redirect: RedirectUrl::from_url(redirect),
            roles: config.roles.clone(),
            http: Http(http),
            known: RwLock::new(None),
        }
    }

    /// Where to send the browser, and what to keep until it comes back.
    pub async fn begin(&self, to: String) -> Result<(String, SigningIn), Problem> {
        let client = self.client(None).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let (state, nonce) = (state.secret().clone(), nonce.secret().clone());
        Ok((url.to_string(), SigningIn::begin(state, nonce, verifier.secret().clone(), to)))
    }

    /// Who came back with the code.
    pub async fn finish(&self, begun: SigningIn, code: String, state: &str) -> Result<Staff, Problem> {
        if begun.state != state {
            return Err(Problem::unauthorized("the sign-in is of another browser or too old; sign in again"));
        }
        let client = self.client(None).await?;
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| {
            warn!(%error, "the issuer publishes no token endpoint");
            unavailable()
        })?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
        let tokens = request.request_async(&self.http).await.map_err(|error| {
            warn!(%error, "the code was not redeemed");
            Problem::unauthorized("the issuer did not confirm the sign-in; sign in again")
        })?;
        let token = tokens.id_token().ok_or_else(|| Problem::unauthorized("the issuer gave no ID token"))?;
        self.staff(token, Some(&Nonce::new(begun.nonce))).await
    }

    /// Whose ID token it is.
    pub async fn verify(&self, token: &str) -> Result<Staff, Problem> {
        let token: StaffToken =
            token.parse().map_err(|_| Problem::unauthorized("the token is no ID token of the staff's issuer"))?;
        self.staff(&token, None).await
    }

    async fn staff(&self, token: &StaffToken, nonce: Option<&Nonce>) -> Result<Staff, Problem> {
        // A program's token was made for another request, whose nonce it alone knows.
        let check = |given: Option<&Nonce>| match nonce {
            Some(nonce) if given.map(Nonce::secret) != Some(nonce.secret()) => Err("another sign-in's".to_owned()),
            _ => Ok(()),
        };
        let mut client = self.client(None).await?;
        let unknown_key = matches!(
            token.claims(&client.id_token_verifier(), check),
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey))
        );
        if unknown_key {
            client = self.client(Some(&client)).await?;
        }
        let verifier = client.id_token_verifier();
        let claims = token
            .claims(&verifier, check)
            .map_err(|error| Problem::unauthorized(format!("the ID token does not count: {error}; sign in again")))?;
        // EasyCode's own issuer: some say nothing of whether an address is verified, since they have made it themselves.
        let unverified = claims.email_verified() == Some(false);
        let email = claims.email().filter(|_| !unverified).map(|email| email.to_string());
        let email = email.filter(|email| email.len() <= 254 && !email.chars().any(char::is_control));
        let email = email.ok_or_else(|| {
            Problem::forbidden("no-email", "the ID token has no verified email, by which changes are told of")
        })?;
        let mut all = Value::Object(claims.additional_claims().0.clone());
        all["email"] = email.clone().into();
        all["sub"] = claims.subject().as_str().into();
        let role = self.roles.role(&all).ok_or_else(|| {
            let claim = &self.roles.claim;
            Problem::forbidden(
                "no-role",
                format!("{email} has no role here: the claim {claim} has none of the values that give one"),
            )
        })?;
        Ok(Staff { email, role })
    }

    /// The client by what the issuer publishes; anew if the one that is known does not suffice.
    async fn client(&self, insufficient: Option<&Arc<Client>>) -> Result<Arc<Client>, Problem> {
        let suffices = |client: &Arc<Client>, read: Instant| {
            insufficient.is_none_or(|old| !Arc::ptr_eq(old, client) || read.elapsed() < BETWEEN_LOOKS)
        };
        if let Some((client, read)) = &*self.known.read().await
            && suffices(client, *read)
        {
            return Ok(Arc::clone(client));
        }
        let mut known = self.known.write().await;
        if let Some((client, read)) = &*known
            && suffices(client, *read)
        {
            return Ok(Arc::clone(client));
        }
        let metadata =
            CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await.map_err(|error| {
                warn!(%error, issuer = self.issuer.as_str(), "the issuer's metadata can't be read");
                unavailable()
            })?;
        let client = Client::from_provider_metadata(metadata, self.client_id.clone(), Some(self.client_secret.clone()))
            .set_redirect_uri(self.redirect.clone());
        let client = Arc::new(client);
        *known = Some((Arc::clone(&client), Instant::now()));
        Ok(client)
    }
}

fn unavailable() -> Problem {
    Problem::unavailable("the issuer of the staff's tokens does not answer as it should; try again, and see the log")
}
