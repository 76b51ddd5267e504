//! Tells the audit trail of a tenant to whoever Kubernetes lets `get` its `tenants/audit`: the console. Who asks shows a token of a
//! service account that is for the operator alone; API server and RBAC judge it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use easycode_contract::database::Identifier;
use easycode_crds::Tenant;
use easycode_listener::Limits;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::warn;

use super::trail::{self, Wanted, Way, words::Told};

/// What a token must be for.
pub const AUDIENCE: &str = "easycode-operator";
/// Tokens that the API server is asked about at once.
const REVIEWS: usize = 4;
/// Requests that are read for at once; each connects to every home of its tenant.
const READS: usize = 16;
/// Longest wait for either.
const TURN: Duration = Duration::from_secs(1);
/// Longest time for one home.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest time for a request.
const LONGEST: Duration = Duration::from_secs(7);
/// Most records of one home.
const NEWEST: u16 = 200;

/// The newest records of a tenant, of the homes that have its data.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The oldest first.
    pub records: Vec<Told>,
    /// Each home that could not be read. The operator's log says why: such words may tell of addresses and logins.
    pub unread: Vec<String>,
}

/// Path of the trail of a tenant.
#[must_use]
pub fn path(tenant: &str) -> String {
    format!("/v1/tenants/{tenant}/audit")
}

#[derive(Clone)]
struct Server {
    client: Client,
    reviews: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// Why nothing is told.
struct Refusal(StatusCode, &'static str);

impl Refusal {
    const BUSY: Self =
        Self(StatusCode::SERVICE_UNAVAILABLE, "too many ask at once, or something does not answer; try again");
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        warn!(%error, "the audit trail was asked for");
        Self(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer; try again")
    }
}

/// Serves until the process ends. Every replica does, also one that does not lead: it only reads.
pub async fn serve(listener: TcpListener, client: Client, limits: Limits) {
    let [reviews, reads] = [REVIEWS, READS].map(|most| Arc::new(Semaphore::new(most)));
    let server = Server { client, reviews, reads };
    let routes = Router::new().route(&path("{name}"), get(of_tenant)).with_state(server);
    easycode_listener::serve(listener, routes, limits, std::future::pending()).await;
}

async fn of_tenant(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Answer>, Refusal> {
    let outcome = timeout(LONGEST, asked(&server, &name, &headers)).await.unwrap_or(Err(Refusal::BUSY));
    if let Err(Refusal(status, why)) = &outcome {
        warn!(tenant = name, %status, why, "an audit trail was not told");
    }
    outcome.map(Json)
}

async fn asked(server: &Server, name: &str, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let no_token = Refusal(StatusCode::UNAUTHORIZED, "send a token as Authorization: Bearer …");
    let token = bearer(headers).ok_or(no_token)?;
    let reviewing = turn(&server.reviews).await?;
    let Some(user) = who(&server.client, token).await? else {
        let words = "the token does not count; it must be of this cluster, and for audience easycode-operator";
        return Err(Refusal(StatusCode::UNAUTHORIZED, words));
    };
    if !may_read(&server.client, user, name).await? {
        return Err(Refusal(StatusCode::FORBIDDEN, "this needs the right to get tenants/audit of easycode.io"));
    }
    drop(reviewing);
    let Some(tenant) = tenant(&server.client, name).await? else {
        return Err(Refusal(StatusCode::NOT_FOUND, "there is no such tenant"));
    };
    let _reading = turn(&server.reads).await?;
    let wanted = Wanted {
        tenant: Some(name.to_owned()),
        uid: tenant.uid(),
        since: None,
        newest: Some(NEWEST),
        patience: Some(PATIENCE),
    };
    let found = trail::read(&server.client, trail::homes::of(&tenant), &wanted, Way::Inside).await;
    for (home, why) in &found.unread {
        warn!(%home, why, "an audit trail could not be read");
    }
    Ok(Answer {
        records: found.records.iter().map(Told::from).collect(),
        unread: found.unread.iter().map(|(home, _)| home.to_string()).collect(),
    })
}

async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    timeout(TURN, turns.acquire()).await.ok().and_then(Result::ok).ok_or(Refusal::BUSY)
}

async fn tenant(client: &Client, name: &str) -> kube::Result<Option<Tenant>> {
    // What can't be a tenant's name must not become part of a path.
    if Identifier::tenant(name).is_err() {
        return Ok(None);
    }
    Api::all(client.clone()).get_opt(name).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").filter(|token| !token.is_empty())
}

/// Whose token it is, if it counts.
async fn who(client: &Client, token: &str) -> kube::Result<Option<UserInfo>> {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let made = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let status = made.status.unwrap_or_default();
    // An API server that knows nothing of audiences would accept any token of its own.
    let is_for_us = status.audiences.unwrap_or_default().iter().any(|one| one == AUDIENCE);
    Ok(status.user.filter(|_| status.authenticated == Some(true) && is_for_us))
}

async fn may_read(client: &Client, user: UserInfo, tenant: &str) -> kube::Result<bool> {
    let resource = ResourceAttributes {
        group: Some("easycode.io".to_owned()),
        resource: Some("tenants".to_owned()),
        subresource: Some("audit".to_owned()),
        verb: Some("get".to_owned()),
        name: Some(tenant.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra,
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let made = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(made.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!((token("Bearer "), token("Basic abc"), bearer(&HeaderMap::new())), (None, None, None));
    }
}
