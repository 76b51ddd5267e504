//! Tells the audit trail of a tenant to whoever Kubernetes lets `get` its `tenants/audit`: the console. Who asks shows a token of a
//! service account that is for the operator alone; API server and RBAC judge it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use easycode_contract::database::Identifier;
use easycode_crds::Tenant;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tracing::warn;

use super::trail::{self, Wanted, Way, words::Told};
use crate::stack::home::Home;

/// What a token must be for.
pub const AUDIENCE: &str = "easycode-operator";
/// Requests that are worked on at once; each connects to every home of its tenant.
const AT_ONCE: usize = 4;
/// Longest wait for one's turn.
const TURN: Duration = Duration::from_secs(2);
/// Longest time for one home.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most records of one home.
const NEWEST: u16 = 200;

/// The newest records of a tenant, of the homes that have its data.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The oldest first.
    pub records: Vec<Told>,
    /// Each home that could not be read, and why.
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
    turns: Arc<Semaphore>,
}

/// Why nothing is told.
struct Refusal(StatusCode, &'static str);

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
pub async fn serve(listener: TcpListener, client: Client) -> std::io::Result<()> {
    let server = Server { client, turns: Arc::new(Semaphore::new(AT_ONCE)) };
    axum::serve(listener, Router::new().route(&path("{name}"), get(of_tenant)).with_state(server)).await
}

async fn of_tenant(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Answer>, Refusal> {
    let no_token = Refusal(StatusCode::UNAUTHORIZED, "send a token as Authorization: Bearer …");
    let token = bearer(&headers).ok_or(no_token)?;
    let Ok(Ok(_turn)) = timeout(TURN, server.turns.acquire()).await else {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many ask at once; try again"));
    };
    let Some(user) = who(&server.client, token).await? else {
        let words = "the token does not count; it must be of this cluster, and for audience easycode-operator";
        return Err(Refusal(StatusCode::UNAUTHORIZED, words));
    };
    if !may_read(&server.client, user, &name).await? {
        return Err(Refusal(StatusCode::FORBIDDEN, "this needs the right to get tenants/audit of easycode.io"));
    }
    let Some(homes) = homes(&server.client, &name).await? else {
        return Err(Refusal(StatusCode::NOT_FOUND, "there is no such tenant"));
    };
    let wanted = Wanted { tenant: Some(name), since: None, newest: Some(NEWEST), patience: PATIENCE };
    let found = trail::read(&server.client, homes, &wanted, Way::Inside).await;
    Ok(Json(Answer { records: found.records.iter().map(Told::from).collect(), unread: found.unread }))
}

async fn homes(client: &Client, tenant: &str) -> kube::Result<Option<BTreeSet<Home>>> {
    // What can't be a tenant's name must not become part of a path.
    if Identifier::tenant(tenant).is_err() {
        return Ok(None);
    }
    let found = Api::<Tenant>::all(client.clone()).get_opt(tenant).await?;
    Ok(found.as_ref().map(trail::homes::of))
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
