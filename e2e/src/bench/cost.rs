//! What tenancy costs a request: a service as it is, against a handler that does nothing but the same query, both in this process,
//! on the same Postgres, in turns.

use std::{
    collections::BTreeMap,
    fs,
    ops::AddAssign,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::{Router, routing::MethodRouter};
use easycode_contract::{
    database::Identifier,
    runtime::{TENANT_SERVICE, TENANT_SERVICE_AUDIENCE},
};
use easycode_kit::{App, Config, Service, config::BODIES_BYTES, database};
use easycode_listener::Limits;
use easycode_operator::{
    postgres::credentials::Credentials, runtime::metrics::own_cpu_seconds, stack::plan::secrets::service_secret,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde::Serialize;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::{
    figures::{Spread, round},
    ground::Ground,
    reads::{Subject, get as request},
};
use crate::{tokens::ISSUER, wait::until};

const CONNECTIONS: u32 = 10;

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Pairs of requests, one after the other.
    pub pairs: usize,
    /// Such pairs before, which are not measured.
    pub warm_up: usize,
    /// Requests of each round for throughput; each side has so many rounds, with some requests at once.
    pub burst: usize,
    /// Rounds.
    pub rounds: usize,
    /// Requests at once in a round.
    pub at_once: usize,
}

/// A service's program, and its query alone.
#[derive(Clone, Copy)]
pub struct Program {
    /// The service.
    pub service: Service,
    /// Answers with what the service's own handler selects, and does nothing else. The last segment of its path is what is read.
    pub bare: fn() -> MethodRouter<PgPool>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Side {
    /// Time of a request, one after the other.
    pub request_ms: Spread,
    /// Requests a second, several at once.
    pub requests_per_second: f64,
    /// CPU that this process used for each of those, in microseconds: who asks, the way there, the handler, the way to Postgres. What else
    /// the machine could give in that time went to Postgres, to other processes, or nowhere.
    pub own_cpu_us: f64,
}

/// Both.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// The service: token, guard, the tenant's transaction; many tenants in turn over the same connections.
    pub service: Side,
    /// The query alone, on connections that belong to one tenant.
    pub bare: Side,
}

impl Cost {
    /// Requests a second with tenancy, as a part of those without.
    #[must_use]
    pub fn throughput_ratio(&self) -> f64 {
        round(self.service.requests_per_second / self.bare.requests_per_second)
    }
}

/// Measures a service that runs under the name.
pub async fn measure(
    ground: &Ground,
    name: &str,
    program: &Program,
    subjects: &[Subject],
    effort: Effort,
) -> anyhow::Result<Cost> {
    // It holds a password: for nobody else to read, and that it can't be removed is told.
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir()?;
    let measured = async {
        let app = app(ground, folder.path(), name, &program.service, &subjects[0]).await?;
        let pool = bare_pool(folder.path(), &subjects[0])?;
        let cost = compare(&app, &pool, program, subjects, effort).await;
        app.connections.close().await;
        pool.close().await;
        cost
    }
    .await;
    folder.close()?;
    measured
}

/// Both sides in turns.
async fn compare(
    app: &App,
    pool: &PgPool,
    program: &Program,
    subjects: &[Subject],
    effort: Effort,
) -> anyhow::Result<Cost> {
    let api = format!("/{}/v1", app.config.prefix);
    let service = serve(easycode_kit::router(&program.service, app, Router::new())).await? + &api;
    let one = &subjects[..1];
    let bare = serve(Router::new().route("/{record}", (program.bare)()).with_state(pool.clone())).await?;
    let service = |subject: &Subject| format!("{service}{}", subject.path);
    let bare = |subject: &Subject| format!("{bare}/{}", subject.record);

    let (there, here) = (easycode_kit::http::client(), easycode_kit::http::client());
    let (mut with, mut without) = (Vec::with_capacity(effort.pairs), Vec::with_capacity(effort.pairs));
    for (number, subject) in subjects.iter().cycle().take(effort.warm_up + effort.pairs).enumerate() {
        let (mut a, mut b) = (Duration::ZERO, Duration::ZERO);
        // Each goes first in every other pair, so neither always finds what the other has warmed.
        for first in [number % 2 == 0, number % 2 != 0] {
            if first {
                a = request(&there, &service(subject), &subject.token).await?;
            } else {
                b = request(&here, &bare(&one[0]), &one[0].token).await?;
            }
        }
        if number >= effort.warm_up {
            with.push(a);
            without.push(b);
        }
    }
    let (mut fast, mut faster) = (Spent::default(), Spent::default());
    for _ in 0..effort.rounds {
        fast += burst(&there, subjects, effort, &service).await?;
        faster += burst(&here, one, effort, &bare).await?;
    }
    let count = f64::from(u32::try_from(effort.rounds * effort.burst)?);
    let side = |times: Vec<Duration>, spent: Spent| Side {
        request_ms: Spread::of(times),
        requests_per_second: round(count / spent.seconds),
        own_cpu_us: round(spent.own_cpu_seconds / count * 1e6),
    };
    Ok(Cost { service: side(with, fast), bare: side(without, faster) })
}

/// What rounds took.
#[derive(Default)]
struct Spent {
    seconds: f64,
    own_cpu_seconds: f64,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.own_cpu_seconds += other.own_cpu_seconds;
    }
}

/// What a number of requests take, several at once.
async fn burst(
    http: &reqwest::Client,
    subjects: &[Subject],
    effort: Effort,
    url: &impl Fn(&Subject) -> String,
) -> anyhow::Result<Spent> {
    let (started, before) = (Instant::now(), own_cpu_seconds().unwrap_or_default());
    futures::stream::iter(subjects.iter().cycle().take(effort.burst))
        .map(|subject| {
            let url = url(subject);
            async move { request(http, &url, &subject.token).await }
        })
        .buffer_unordered(effort.at_once)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    let own_cpu_seconds = own_cpu_seconds().unwrap_or_default() - before;
    Ok(Spent { seconds: started.elapsed().as_secs_f64(), own_cpu_seconds })
}

async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(easycode_listener::serve(listener, router, Limits::default(), std::future::pending()));
    Ok(format!("http://{address}"))
}

/// The service as its pod runs it: with its login, its identity towards tenant-service, and the platform's keys. Contexts come from
/// tenant-service, for itself, too.
async fn app(ground: &Ground, folder: &Path, name: &str, service: &Service, subject: &Subject) -> anyhow::Result<App> {
    let namespace = ground.platform.namespace();
    let secrets: Api<Secret> = Api::namespaced(ground.cluster().client.clone(), &namespace);
    let secret = secrets.get(&service_secret(name)).await?;
    let credentials = Credentials::from_secret(&secret.data.unwrap_or_default())?;
    let credentials = ground.platform.reachable(credentials).await?;
    for (field, value) in credentials.to_fields() {
        fs::write(folder.join(field), value)?;
    }
    // tenant-service tells contexts to the platform's other services.
    let account = if name == TENANT_SERVICE { "crm" } else { name };
    let token = ground.cluster().token_of(&namespace, account, Some(TENANT_SERVICE_AUDIENCE)).await?;
    fs::write(folder.join("token"), token)?;
    fs::write(folder.join("jwks.json"), &ground.jwks)?;
    let app = App::connect(Config {
        roles: service.roles,
        user_service: None,
        service: name.to_owned(),
        prefix: service.prefix.unwrap_or(name).to_owned(),
        namespace,
        issuer: ISSUER.to_owned(),
        jwks: folder.join("jwks.json").display().to_string(),
        tenant_service: format!("http://{}", ground.address(TENANT_SERVICE).await?),
        base_urls: BTreeMap::new(),
        database: folder.to_owned(),
        identity_token: folder.join("token"),
        connections: CONNECTIONS,
        listener: Limits::default(),
        bodies_bytes: BODIES_BYTES,
    })?;
    until(&format!("{name} in this process has all contexts"), Duration::from_secs(30), || async {
        ensure!(app.contexts.is_synced(), "it follows no stream yet");
        ensure!(app.contexts.get(&subject.tenant).await.is_ok_and(|context| context.is_some()), "no context");
        Ok(())
    })
    .await;
    Ok(app)
}

/// Connections that are the tenant's from the start; else they are as those of a service.
fn bare_pool(folder: &Path, subject: &Subject) -> anyhow::Result<PgPool> {
    let role = Identifier::tenant(&subject.tenant)?;
    let options = database::options(folder)?.options([("role", role.as_str()), ("search_path", role.as_str())]);
    Ok(database::pool(options, CONNECTIONS))
}
