//! Who is signed in: an encrypted cookie for the console, an ID token for programs.

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{Method, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::{
    PrivateCookieJar,
    cookie::{Cookie, SameSite},
};
use easycode_kit::{Problem, token::bearer};
use jiff::Timestamp;
use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::form_urlencoded::byte_serialize;

use crate::{
    App,
    config::{BASE, Config},
    staff::{Role, Staff},
};

/// How long one is signed in.
const LIFETIME: time::Duration = time::Duration::hours(8);
/// How long signing in may take.
const SIGNING_IN: time::Duration = time::Duration::minutes(10);

/// Someone who is signed in to the console.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub staff: Staff,
    /// What a form must carry that was served to them, and that no other site can know.
    pub csrf: String,
    until: i64,
}

/// A sign-in that is under way.
#[derive(Serialize, Deserialize)]
pub struct SigningIn {
    /// Ties the answer to this browser.
    pub state: String,
    /// Ties the ID token to this sign-in.
    pub nonce: String,
    /// Proves to the issuer that who redeems the code asked for it.
    pub verifier: String,
    /// Path to go on at.
    pub to: String,
    /// Until when (seconds since 1970).
    until: i64,
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub fn begin(staff: Staff) -> Self {
        let csrf = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
        Self { staff, csrf, until: from_now(LIFETIME) }
    }

    /// Refuses who may not do what takes the role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        require(&self.staff, role)
    }

    /// Refuses a form that was not served to this session.
    pub fn check(&self, csrf: &str) -> Result<(), Problem> {
        if csrf == self.csrf {
            return Ok(());
        }
        Err(Problem::forbidden("csrf", "the form is of another session; go back, reload the page and send it again"))
    }
}

impl SigningIn {
    /// One that begins now.
    #[must_use]
    pub fn begin(state: String, nonce: String, verifier: String, to: String) -> Self {
        Self { state, nonce, verifier, to, until: from_now(SIGNING_IN) }
    }
}

fn from_now(lifetime: time::Duration) -> i64 {
    Timestamp::now().as_second() + lifetime.whole_seconds()
}

fn require(staff: &Staff, role: Role) -> Result<(), Problem> {
    if staff.role >= role {
        return Ok(());
    }
    Err(Problem::forbidden(
        "role",
        format!("this takes the role {}, and {} has {}", role.name(), staff.email, staff.role.name()),
    ))
}

/// What is kept in a cookie.
pub trait Kept: Serialize + DeserializeOwned {
    /// Name of the cookie.
    const NAME: &'static str;
    /// How long the browser keeps it.
    const LIFETIME: time::Duration;
    /// When it is over, whatever the browser thinks.
    fn until(&self) -> i64;
}

impl Kept for Session {
    const NAME: &'static str = "easycode-session";
    const LIFETIME: time::Duration = LIFETIME;
    fn until(&self) -> i64 {
        self.until
    }
}

impl Kept for SigningIn {
    const NAME: &'static str = "easycode-signing-in";
    const LIFETIME: time::Duration = SIGNING_IN;
    fn until(&self) -> i64 {
        self.until
    }
}

/// The name that browsers bind to this host and to https, where there is https.
fn name<T: Kept>(config: &Config) -> String {
    if config.is_secure() { format!("__Host-{}", T::NAME) } else { T::NAME.to_owned() }
}

/// What the cookie holds, unless it is over or not of this service's making.
#[must_use]
pub fn read<T: Kept>(jar: &PrivateCookieJar, config: &Config) -> Option<T> {
    let cookie = jar.get(&name::<T>(config))?;
    let kept: T = serde_json::from_str(cookie.value()).ok()?;
    (kept.until() > Timestamp::now().as_second()).then_some(kept)
}

/// Puts it into a cookie.
pub fn keep<T: Kept>(jar: PrivateCookieJar, config: &Config, kept: &T) -> PrivateCookieJar {
    let value = serde_json::to_string(kept).expect("has only string keys");
    jar.add(cookie::<T>(config, value))
}

/// Takes the cookie away.
pub fn forget<T: Kept>(jar: PrivateCookieJar, config: &Config) -> PrivateCookieJar {
    jar.remove(cookie::<T>(config, String::new()))
}

fn cookie<T: Kept>(config: &Config, value: String) -> Cookie<'static> {
    Cookie::build((name::<T>(config), value))
        .path("/")
        .http_only(true)
        .secure(config.is_secure())
        .same_site(SameSite::Lax)
        .max_age(T::LIFETIME)
        .build()
}

/// Who is not signed in goes to sign in, and comes back.
impl FromRequestParts<App> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let jar = PrivateCookieJar::from_headers(&parts.headers, app.config.session_key.clone());
        if let Some(session) = read(&jar, &app.config) {
            return Ok(session);
        }
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let to = uri.path_and_query().map_or(BASE, |path| path.as_str());
        let to = if parts.method == Method::GET { to } else { BASE };
        let to: String = byte_serialize(to.as_bytes()).collect();
        Err(Redirect::to(&format!("{BASE}/sign-in?to={to}")).into_response())
    }
}

/// Who calls the API. A session counts for reading only, so that no other site can make a browser change anything.
pub struct ApiCaller(pub Staff);

impl ApiCaller {
    /// Refuses who may not do what takes the role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        require(&self.0, role)
    }
}

impl FromRequestParts<App> for ApiCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(&parts.headers)
                .ok_or_else(|| Problem::unauthorized("send Authorization: Bearer and an ID token"))?;
            return app.provider.verify(token.trim()).await.map(Self);
        }
        let jar = PrivateCookieJar::from_headers(&parts.headers, app.config.session_key.clone());
        match read::<Session>(&jar, &app.config) {
            Some(session) if parts.method == Method::GET => Ok(Self(session.staff)),
            _ => Err(Problem::unauthorized("send Authorization: Bearer and an ID token of the staff's issuer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(role: Role) -> Session {
        Session::begin(Staff { email: "ada@easycode.example".into(), role })
    }

    #[test]
    fn a_role_may_do_what_those_below_may_and_no_more() {
        assert!(session(Role::Operations).require(Role::Support).is_ok());
        assert!(session(Role::Operations).require(Role::Operations).is_ok());
        assert_eq!(session(Role::Operations).require(Role::Administrator).unwrap_err().status, 403);
    }

    #[test]
    fn a_form_of_another_session_is_refused() {
        let (mine, other) = (session(Role::Support), session(Role::Support));
        assert!(mine.check(&mine.csrf).is_ok());
        assert!(mine.check(&other.csrf).is_err());
        assert!(mine.check("").is_err());
    }
}
