//! What other services are shown on a caller's behalf. A role here may imply others elsewhere, which the caller's own token does not
//! have, lest the caller go there without this service. user-service gives a token that has them; it is kept until shortly before it
//! expires.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use easycode_contract::delegation::{DELEGATIONS_PATH, Delegation, Wanted};
use serde_json::Value;

use crate::{
    App, Caller,
    generations::{Fingerprint, Generations},
};

/// Most tokens of a generation; there are two.
const MOST: usize = 2_048;
/// How long before it expires another one is asked for: time enough for what is asked with it.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest time for an answer: the call itself comes after it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Kept {
    token: Arc<str>,
    until: Instant,
}

/// The tokens that were given lately, by those of the callers.
pub struct Delegations(Mutex<Generations<Kept>>);

impl Default for Delegations {
    fn default() -> Self {
        Self(Mutex::new(Generations::of(MOST)))
    }
}

impl Delegations {
    /// The token to be shown to others: the caller's own, if it says already all that this service takes there.
    pub(crate) async fn token(&self, app: &App, caller: &Caller) -> anyhow::Result<Arc<str>> {
        let Some(user_service) = app.config.user_service.as_deref().filter(|_| caller.lent_roles().next().is_some())
        else {
            return Ok(Arc::clone(caller.token()));
        };
        let own = Fingerprint::of(&**caller.token());
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(own);
        if let Some(kept) = kept.filter(|kept| kept.until > Instant::now()) {
            return Ok(kept.token);
        }
        let asked = Instant::now();
        let Delegation { access_token, expires_in } = ask(app, user_service, caller.token()).await?;
        let token: Arc<str> = access_token.into();
        let kept =
            Kept { token: Arc::clone(&token), until: asked + Duration::from_secs(expires_in).saturating_sub(MARGIN) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(own, kept);
        Ok(token)
    }

    /// Another one is asked for the next time: this one was refused.
    pub(crate) fn forget(&self, caller: &Caller) {
        let own = Fingerprint::of(&**caller.token());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(own);
    }
}

async fn ask(app: &App, user_service: &str, token: &str) -> anyhow::Result<Delegation> {
    // Read anew each time: the kubelet rotates it.
    let own = tokio::fs::read_to_string(&app.config.identity_token).await.context("reading the service's own token")?;
    let wanted = Wanted { subject_token: token.to_owned() };
    let request = app.http.post(format!("{user_service}{DELEGATIONS_PATH}")).bearer_auth(own.trim()).json(&wanted);
    let response = request.timeout(PATIENCE).send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response.json().await?);
    }
    let problem: Value = response.json().await.unwrap_or_default();
    bail!("user-service lends no roles: {status} {}", problem["detail"].as_str().unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::{Json, Router, http::HeaderMap, routing::post};
    use easycode_listener::Limits;
    use tempfile::NamedTempFile;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Config, Role, peer};

    const ROLES: &[Role] = &[Role { name: "pos-cashier", description: "", implies: &["stock-mover"] }];

    /// A service whose user-service gives tokens that are numbered, and live that long; and where its own token is.
    async fn app(expires_in: u64) -> (App, NamedTempFile) {
        let asked = Arc::new(AtomicU64::new(0));
        let give = move |headers: HeaderMap, Json(wanted): Json<Wanted>| {
            assert_eq!(headers["authorization"], "Bearer workload");
            let access_token = format!("{}-{}", wanted.subject_token, asked.fetch_add(1, Ordering::SeqCst));
            std::future::ready(Json(Delegation { access_token, expires_in }))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route(DELEGATIONS_PATH, post(give));
        tokio::spawn(easycode_listener::serve(listener, router, Limits::default(), std::future::pending()));
        let own = NamedTempFile::new().unwrap();
        std::fs::write(&own, "workload\n").unwrap();
        let user_service = Some(format!("http://{address}"));
        let identity_token = own.path().to_owned();
        (App::of_nowhere(Config { roles: ROLES, user_service, identity_token, ..Config::of_nowhere() }), own)
    }

    async fn shown(app: &App, caller: &Caller) -> String {
        app.delegations.token(app, caller).await.unwrap().to_string()
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_for_each_callers_own() {
        let (app, _own) = app(300).await;
        let [kim, lee] = ["kim", "lee"].map(|token| Caller::of_nowhere(&app, &["pos-cashier"], token));
        assert_eq!([shown(&app, &kim).await, shown(&app, &kim).await], ["kim-0", "kim-0"]);
        assert_eq!([shown(&app, &lee).await, shown(&app, &kim).await], ["lee-1", "kim-0"]);
        app.delegations.forget(&kim);
        assert_eq!([shown(&app, &kim).await, shown(&app, &lee).await], ["kim-2", "lee-1"]);
    }

    #[tokio::test]
    async fn one_that_is_about_to_expire_is_not_shown_again() {
        let (app, _own) = app(MARGIN.as_secs()).await;
        let kim = Caller::of_nowhere(&app, &["pos-cashier"], "kim");
        assert_eq!([shown(&app, &kim).await, shown(&app, &kim).await], ["kim-0", "kim-1"]);
    }

    #[tokio::test]
    async fn who_has_all_roles_already_or_none_that_imply_any_is_not_asked_for() {
        let (app, _own) = app(300).await;
        for roles in [&["pos-cashier", "stock-mover"][..], &["crm-user"]] {
            assert_eq!(shown(&app, &Caller::of_nowhere(&app, roles, "own")).await, "own");
        }
    }

    #[tokio::test]
    async fn without_user_service_nobody_lends_roles() {
        let app = App::of_nowhere(Config { roles: ROLES, ..Config::of_nowhere() });
        let kim = Caller::of_nowhere(&app, &["pos-cashier"], "kim");
        assert_eq!(shown(&app, &kim).await, "kim");
        assert_eq!(peer::require(&kim, "inventory", "stock-mover").unwrap_err().code, "role-required");
    }

    #[tokio::test]
    async fn what_a_role_implies_may_be_asked_of_others_and_nothing_else() {
        let (app, _own) = app(300).await;
        let kim = Caller::of_nowhere(&app, &["pos-cashier"], "kim");
        assert!(peer::require(&kim, "inventory", "stock-mover").is_ok());
        assert_eq!(peer::require(&kim, "inventory", "inventory-manager").unwrap_err().code, "role-required");
        assert_eq!(peer::require(&kim, "finance", "stock-mover").unwrap_err().code, "needs-service");
        assert!(kim.require_role("stock-mover").is_err(), "it is not the caller's own");
    }

    #[tokio::test]
    async fn a_user_service_that_is_away_is_told_as_any_that_is() {
        let (app, _own) = app(300).await;
        let config = Config { user_service: Some("http://127.0.0.1:1".to_owned()), ..(*app.config).clone() };
        let app = App::of_nowhere(config);
        let kim = Caller::of_nowhere(&app, &["pos-cashier"], "kim");
        let outcome = peer::post(&app, &kim, "inventory", "/issues", "key", &Value::Null).await;
        assert!(matches!(outcome, Err(peer::Unserved::Away(_))), "{outcome:?}");
    }
}
