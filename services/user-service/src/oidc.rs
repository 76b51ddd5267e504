//! Signing in at the company's identity provider, by OpenID Connect: the code flow with PKCE. Whoever comes back with an address that
//! the provider has verified gets the account of that address, if there is one; none is made.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use easycode_kit::{App, Problem};
use jsonwebtoken::get_current_timestamp;
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
    core::{CoreClient, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use url::Url;

use crate::{
    accounts::{self, Status, normal},
    events::record,
    identity_provider::{self, Provider},
    outbound::Outbound,
    realm::{Asking, Realm, Shared, refuse_evenly, wait_for_refusal},
    secret::Secret,
    sessions::{self, Client, Holder, Opened},
};

/// How long someone may be at the provider.
pub const ATTEMPT_SECONDS: u64 = 10 * 60;
/// Path that the provider sends them back to; the company registers it there.
pub const CALLBACK: &str = "/user/v1/oidc/callback";
/// Audience of what is remembered meanwhile, so that it is no token of a user.
const AUDIENCE: &str = "easycode-sign-in";
/// How long what a provider tells of itself is believed.
const OLD: Duration = Duration::from_mins(5);
/// Most providers that are remembered.
const MOST: usize = 1_000;
/// What it may sign with: nothing for which the secret would do.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 5] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What providers tell of themselves.
pub struct Providers {
    pub(crate) outbound: Outbound,
    known: Mutex<HashMap<String, (Instant, CoreProviderMetadata)>>,
}

impl Providers {
    /// Asks them by these connections.
    #[must_use]
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound, known: Mutex::default() }
    }
}

/// Where to send someone, and what to remember of it in the browser.
#[derive(Debug)]
pub struct Started {
    /// The provider's page.
    pub url: Url,
    /// To be shown again by the browser when the person comes back, for [`ATTEMPT_SECONDS`].
    pub attempt: Secret,
}

/// What is remembered: signed, and only in the browser of who wants to sign in.
#[derive(Clone, Serialize, Deserialize)]
struct Attempt {
    aud: String,
    exp: u64,
    tenant: String,
    tenant_uid: String,
    issuer: String,
    state: String,
    nonce: String,
    verifier: String,
}

/// Who came back.
struct Known {
    /// The issuer, and what it calls the person.
    subject: String,
    email: Option<String>,
}

/// The account that may be meant.
#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    holder: Holder,
    status: Status,
    oidc_subject: Option<String>,
}

impl Providers {
    /// What the issuer tells of itself. Why it can't be read is logged, and not told to who has named it.
    pub(crate) async fn metadata(&self, issuer: &str) -> Result<CoreProviderMetadata, Problem> {
        let fresh = |(at, metadata): &(Instant, CoreProviderMetadata)| (at.elapsed() < OLD).then(|| metadata.clone());
        if let Some(metadata) = self.lock().get(issuer).and_then(fresh) {
            return Ok(metadata);
        }
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|_| not_reached())?;
        let metadata = CoreProviderMetadata::discover_async(url, &self.outbound).await.map_err(|error| {
            tracing::warn!(issuer, ?error, "an identity provider can't be read");
            not_reached()
        })?;
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(issuer.to_owned(), (Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, CoreProviderMetadata)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether people of the company can sign in at an identity provider of its own. No, if there is no such company, and no sooner.
pub async fn is_offered(app: &App, tenant: &str) -> Result<bool, Problem> {
    let started = Instant::now();
    let offered = refuse_evenly(started, find_offered(app, tenant).await).await?;
    if !offered {
        wait_for_refusal(started).await;
    }
    Ok(offered)
}

async fn find_offered(app: &App, tenant: &str) -> Result<bool, Problem> {
    let Some(realm) = Realm::find(app, tenant, Asking::Stranger).await? else { return Ok(false) };
    Ok(identity_provider::find_enabled(&mut *realm.begin().await?).await?.is_some())
}

/// Begins to sign someone in. `base` is what the services are at, such as `https://erp.example.com`.
pub async fn start(app: &App, tenant: &str, base: &str) -> Result<Started, Problem> {
    refuse_evenly(Instant::now(), begin(app, tenant, base).await).await
}

async fn begin(app: &App, tenant: &str, base: &str) -> Result<Started, Problem> {
    let realm = Realm::find(app, tenant, Asking::Stranger).await?.ok_or_else(not_offered)?;
    realm.require_writable()?;
    let provider = identity_provider::enabled(&mut *realm.begin().await?).await?;
    let metadata = realm.shared().providers.metadata(&provider.issuer).await?;
    let Provider { issuer, client_id, client_secret } = provider;
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(client_id), Some(ClientSecret::new(client_secret)))
            .set_redirect_uri(callback(base)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let (url, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["email", "profile"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let attempt = Attempt {
        aud: AUDIENCE.to_owned(),
        exp: get_current_timestamp() + ATTEMPT_SECONDS,
        tenant: tenant.to_owned(),
        tenant_uid: realm.context.uid.clone(),
        issuer,
        state: state.secret().clone(),
        nonce: nonce.secret().clone(),
        verifier: verifier.secret().clone(),
    };
    Ok(Started { url, attempt: realm.shared().keys.sign(&attempt)?.into() })
}

/// Opens a session for who came back with a code.
pub async fn finish(
    app: &App,
    attempt: &Secret,
    state: &str,
    code: &Secret,
    base: &str,
    client: &Client,
) -> Result<Opened, Problem> {
    let attempt: Option<Attempt> = Shared::of(app).keys.read(attempt.reveal(), AUDIENCE);
    let attempt = attempt
        .filter(|attempt| attempt.state == state)
        .ok_or_else(|| refused("it took too long, or was begun elsewhere"))?;
    let realm = Realm::find(app, &attempt.tenant, Asking::Stranger).await?.ok_or_else(not_offered)?;
    if attempt.tenant_uid != realm.context.uid {
        return Err(refused("another company has this name now"));
    }
    realm.require_writable()?;
    let provider = identity_provider::enabled(&mut *realm.begin().await?).await?;
    if provider.issuer != attempt.issuer {
        return Err(refused("the company has another identity provider now"));
    }
    let known = redeem(&realm, provider, &attempt, code, base).await?;
    let mut transaction = accounts::begin_alone(&realm).await?;
    let holder = link(&mut transaction, &attempt.issuer, known).await?;
    let opened = sessions::open(&mut transaction, &realm, &holder, "identity-provider", client).await?;
    transaction.commit().await?;
    Ok(opened)
}

/// Has the provider say whom the code stands for.
async fn redeem(
    realm: &Realm,
    provider: Provider,
    attempt: &Attempt,
    code: &Secret,
    base: &str,
) -> Result<Known, Problem> {
    let Provider { issuer, client_id, client_secret } = provider;
    let metadata = realm.shared().providers.metadata(&issuer).await?;
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(client_id), Some(ClientSecret::new(client_secret)))
            .set_redirect_uri(callback(base)?);
    let answer = client
        .exchange_code(AuthorizationCode::new(code.reveal().to_owned()))
        .map_err(|_| refused("it names no address for codes"))?
        .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()))
        .request_async(&realm.shared().providers.outbound)
        .await
        .map_err(|error| {
            tracing::info!(issuer, %error, "an identity provider did not redeem a code");
            refused("it did not accept the code")
        })?;
    let token = answer.id_token().ok_or_else(|| refused("it did not say who you are"))?;
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let claims = token.claims(&verifier, &Nonce::new(attempt.nonce.clone())).map_err(|error| {
        tracing::info!(issuer, %error, "an identity provider's token does not count");
        refused("its token does not count")
    })?;
    let email = claims.email().filter(|_| claims.email_verified() == Some(true));
    Ok(Known { subject: format!("{issuer} {}", claims.subject().as_str()), email: email.map(|email| normal(email)) })
}

/// The account of who came back: that which was linked before, else that of the verified address.
async fn link(connection: &mut PgConnection, issuer: &str, known: Known) -> Result<Holder, Problem> {
    let query = "SELECT id, email, name, status, oidc_subject FROM account WHERE oidc_subject = $1 OR email = $2
         ORDER BY (oidc_subject = $1) IS TRUE DESC LIMIT 1";
    let found: Option<Found> =
        sqlx::query_as(query).bind(&known.subject).bind(&known.email).fetch_optional(&mut *connection).await?;
    let Some(found) = found.filter(|found| found.status != Status::Disabled) else {
        return Err(refused(
            "you have no account with an address that it has verified; ask an administrator of your company",
        ));
    };
    if found.oidc_subject.as_ref() == Some(&known.subject) {
        return Ok(found.holder);
    }
    // An account of another person at the same provider stays theirs; one of a provider of before takes the new one.
    if found.oidc_subject.is_some_and(|subject| subject.starts_with(&format!("{issuer} "))) {
        return Err(refused("the account with your address belongs to another person there"));
    }
    sqlx::query(
        "UPDATE account SET oidc_subject = $2, status = 'Active', version = version + 1, updated_at = now() WHERE id = $1",
    )
    .bind(found.holder.id)
    .bind(&known.subject)
    .execute(&mut *connection)
    .await?;
    let detail = json!({ "email": found.holder.email, "issuer": issuer });
    record(connection, &found.holder.id.to_string(), "user.linked", found.holder.id, detail).await?;
    Ok(found.holder)
}

fn callback(base: &str) -> Result<RedirectUrl, Problem> {
    RedirectUrl::new(format!("{base}{CALLBACK}")).map_err(|_| Problem::invalid("Host: is no host"))
}

fn not_reached() -> Problem {
    Problem::unavailable("the company's identity provider can't be reached; try again")
}

/// Also for a company that there is not.
pub(crate) fn not_offered() -> Problem {
    Problem::not_found("there is no identity provider to sign in at; sign in with your password")
}

fn refused(why: &str) -> Problem {
    Problem::unauthorized(format!("you were not signed in by your company's identity provider: {why}"))
}
