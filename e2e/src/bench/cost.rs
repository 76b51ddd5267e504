//! What tenancy costs a request: CRM as it is, against a handler that does nothing but the same query, both in this process,
//! on the same Postgres, in turns.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    extract::{Path as Segment, State},
    http::StatusCode,
    routing::get,
};
use easycode_contract::{
    database::Identifier,
    runtime::{TENANT_SERVICE, TENANT_SERVICE_AUDIENCE},
};
use easycode_crm::contacts::Contact;
use easycode_kit::{App, Config, database};
use easycode_operator::{postgres::credentials::Credentials, stack::plan::secrets::service_secret};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Secret, ServiceAccount},
};
use kube::{Api, api::PostParams};
use serde::Serialize;
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{
    figures::{Spread, round},
    ground::Ground,
    progress,
    reads::{Subject, get as request},
};
use crate::{tokens::ISSUER, wait::until};

const CRM: &str = "crm";
/// Pairs of requests, one after the other, after some that are not measured.
const PAIRS: usize = 3_000;
const WARM_UP: usize = 300;
/// Requests at once, and in all, of each round for throughput; each side has so many rounds.
const AT_ONCE: usize = 4;
const BURST: usize = 1_000;
const ROUNDS: usize = 4;
const CONNECTIONS: u32 = 10;

/// What CRM's own handler selects.
const QUERY: &str =
    "SELECT id, company_id, given_name, family_name, email, phone, custom, version FROM contact WHERE id = $1";

/// One of the two.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Side {
    /// Time of a request, one after the other.
    pub request_ms: Spread,
    /// Requests a second, several at once.
    pub requests_per_second: f64,
}

/// Both.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// CRM: token, guard, the tenant's transaction; many tenants in turn over the same connections.
    pub crm: Side,
    /// The query alone, on connections that belong to one tenant.
    pub bare: Side,
}

/// Measures.
pub async fn measure(ground: &Ground, subjects: &[Subject]) -> anyhow::Result<Cost> {
    let folder = Folder::new()?;
    let crm = serve(crm(ground, &folder.0, &subjects[0]).await?).await?;
    let one = &subjects[..1];
    let bare = serve(bare(&folder.0, &one[0])?).await?;
    let crm = |subject: &Subject| format!("{crm}/crm/v1/contacts/{}", subject.contact);
    let bare = |subject: &Subject| format!("{bare}/contacts/{}", subject.contact);

    let (there, here) = (easycode_kit::http::client(), easycode_kit::http::client());
    let (mut with, mut without) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
    for (number, subject) in subjects.iter().cycle().take(WARM_UP + PAIRS).enumerate() {
        let (mut a, mut b) = (Duration::ZERO, Duration::ZERO);
        // Each goes first in every other pair, so neither always finds what the other has warmed.
        for first in [number % 2 == 0, number % 2 != 0] {
            if first {
                a = request(&there, &crm(subject), &subject.token).await?;
            } else {
                b = request(&here, &bare(&one[0]), &one[0].token).await?;
            }
        }
        if number >= WARM_UP {
            with.push(a);
            without.push(b);
        }
    }
    progress("both were asked in turns; now several requests at once");
    let (mut fast, mut faster) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        fast += burst(&there, subjects, &crm).await?;
        faster += burst(&here, one, &bare).await?;
    }
    let rate = |seconds: f64| round(f64::from(u32::try_from(ROUNDS * BURST).unwrap_or(u32::MAX)) / seconds);
    Ok(Cost {
        crm: Side { request_ms: Spread::of(with), requests_per_second: rate(fast) },
        bare: Side { request_ms: Spread::of(without), requests_per_second: rate(faster) },
    })
}

/// Seconds that a number of requests take, several at once.
async fn burst(http: &reqwest::Client, subjects: &[Subject], url: &impl Fn(&Subject) -> String) -> anyhow::Result<f64> {
    let started = Instant::now();
    futures::stream::iter(subjects.iter().cycle().take(BURST))
        .map(|subject| {
            let url = url(subject);
            async move { request(http, &url, &subject.token).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

/// CRM as its pod runs it: with its login, its identity towards tenant-service, and the platform's keys.
async fn crm(ground: &Ground, folder: &Path, subject: &Subject) -> anyhow::Result<Router> {
    let app = app(ground, folder, subject).await?;
    Ok(easycode_kit::router(&easycode_crm::SERVICE, &app, Router::new()))
}

async fn app(ground: &Ground, folder: &Path, subject: &Subject) -> anyhow::Result<App> {
    let namespace = ground.platform.namespace();
    let secrets: Api<Secret> = Api::namespaced(ground.cluster().client.clone(), &namespace);
    let secret = secrets.get(&service_secret(CRM)).await?;
    let credentials = Credentials::from_secret(&secret.data.unwrap_or_default())?;
    let credentials = ground.platform.reachable(credentials).await?;
    for (name, value) in credentials.to_fields() {
        fs::write(folder.join(name), value)?;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(ground.cluster().client.clone(), &namespace);
    let asked = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![TENANT_SERVICE_AUDIENCE.to_owned()],
            expiration_seconds: Some(3_600),
            bound_object_ref: None,
        },
        ..TokenRequest::default()
    };
    let token = accounts.create_token_request(CRM, &PostParams::default(), &asked).await?;
    fs::write(folder.join("token"), token.status.context("no token was issued")?.token)?;
    fs::write(folder.join("jwks.json"), &ground.jwks)?;
    let app = App::connect(Config {
        roles: easycode_crm::SERVICE.roles,
        user_service: None,
        service: CRM.to_owned(),
        prefix: CRM.to_owned(),
        namespace,
        issuer: ISSUER.to_owned(),
        jwks: folder.join("jwks.json").display().to_string(),
        tenant_service: format!("http://{}", ground.address(TENANT_SERVICE).await?),
        database: folder.to_owned(),
        identity_token: folder.join("token"),
        connections: CONNECTIONS,
    })?;
    until("CRM in this process has all contexts", Duration::from_secs(30), || async {
        ensure!(app.contexts.is_synced(), "it follows no stream yet");
        ensure!(app.contexts.get(&subject.tenant).await.is_ok_and(|context| context.is_some()), "no context");
        Ok(())
    })
    .await;
    Ok(app)
}

/// The query and nothing else. Its connections are the tenant's from the start.
fn bare(folder: &Path, subject: &Subject) -> anyhow::Result<Router> {
    let role = Identifier::tenant(&subject.tenant)?;
    let options = database::options(folder)?.options([("role", role.as_str()), ("search_path", role.as_str())]);
    Ok(Router::new().route("/contacts/{id}", get(contact)).with_state(database::pool(options, CONNECTIONS)))
}

async fn contact(State(pool): State<PgPool>, Segment(id): Segment<Uuid>) -> Result<Json<Contact>, StatusCode> {
    let found = sqlx::query_as(QUERY).bind(id).fetch_optional(&pool).await;
    found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// A folder for credentials that only this user can read, and that does not outlive its use.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("easycode-bench-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            progress(&format!("{} holds a password and can't be removed: {error}", self.0.display()));
        }
    }
}
