//! Serves the API, and on another port probes and metrics.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Extensions, HeaderValue, StatusCode, Version, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use easycode_contract::runtime::{ADMIN_PORT, API_PORT, SETTINGS_SCHEMA_PATH};
use easycode_listener::Limits as ListenerLimits;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tracing::{Span, error, field::Empty, info, info_span, warn};

use crate::{
    Config, Problem, Service,
    bodies::{self, BodyBudget},
    connections::Connections,
    contexts::Contexts,
    delegations::Delegations,
    document,
    limits::Limits,
    metrics::{self, Metrics},
    storage::{self, Storage},
    token::Issuers,
};

/// What a service without settings declares.
const NO_SETTINGS: &str =
    r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false}"#;
/// Most bytes of one request's body.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Time for the endpoints to forget a replica that stops.
const DRAIN: Duration = Duration::from_secs(3);
/// Time for what is under way to be finished after that; together less than the grace that the pod is given.
const FINISH: Duration = Duration::from_secs(30);

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Configuration.
    pub config: Arc<Config>,
    /// Connections to the service's database. A tenant's data is reached by [`crate::Caller::begin`] only.
    pub connections: Connections,
    /// Contexts of the tenants.
    pub contexts: Contexts,
    /// Checks users' tokens.
    pub issuers: Arc<Issuers>,
    /// Limits of the tenants.
    pub limits: Arc<Limits>,
    /// What the tenants' records take.
    pub(crate) storage: Arc<Storage>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What other services are shown on callers' behalf.
    pub delegations: Arc<Delegations>,
    /// Requests to other services.
    pub http: reqwest::Client,
    /// Cancelled when the process stops; an answer without an end ends then.
    pub stopping: CancellationToken,
    /// What the service keeps beside that, by type.
    own: Arc<Extensions>,
}

impl App {
    /// Connects to database and tenant-service, as soon as they are there.
    pub fn connect(config: Config) -> anyhow::Result<Self> {
        let contexts = Contexts::remote(&config);
        Self::with_contexts(config, contexts)
    }

    /// With contexts from elsewhere.
    pub fn with_contexts(config: Config, contexts: Contexts) -> anyhow::Result<Self> {
        let connections = Connections::following(config.database.clone(), config.connections)?;
        Ok(Self {
            issuers: Arc::new(Issuers::of(&config)),
            config: Arc::new(config),
            connections,
            contexts,
            limits: Arc::default(),
            storage: Arc::default(),
            metrics: Arc::default(),
            delegations: Arc::default(),
            http: crate::http::client(),
            stopping: CancellationToken::new(),
            own: Arc::default(),
        })
    }

    /// Keeps something for the service's handlers, one of each type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, own: T) -> Self {
        let mut all = (*self.own).clone();
        all.insert(Arc::new(own));
        self.own = Arc::new(all);
        self
    }

    /// What [`Self::with`] was given.
    ///
    /// # Panics
    /// If it was given none of that type: the service was started wrongly.
    #[must_use]
    pub fn own<T: Send + Sync + 'static>(&self) -> &T {
        self.own.get::<Arc<T>>().expect("the service was started with it")
    }
}

/// The service's API with everything around it; `internal` is for other services.
pub fn router(service: &Service, app: &App, internal: Router<App>) -> Router {
    let base = format!("/{}/v1", app.config.prefix);
    let (api, mut document) = (service.routes)().split_for_parts();
    document::complete(&mut document, &app.config.service, &base);
    let roles = service.roles;
    let settings = service.settings.unwrap_or(NO_SETTINGS);
    let settings = ([(header::CONTENT_TYPE, "application/schema+json")], settings);
    let api = api
        .route("/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .route("/roles", get(move || std::future::ready(Json(roles))))
        .route(SETTINGS_SCHEMA_PATH, get(move || std::future::ready(settings)));
    let routes = Router::new()
        .nest(&base, api)
        .merge(internal)
        .fallback(|| async { Problem::not_found("there is no such path; see openapi.json") });
    with_middleware(routes, &app.metrics, BodyBudget::new(app.config.bodies_bytes)).with_state(app.clone())
}

/// Routes with what every API has around it: metrics, bounds, a log with the request's id.
pub fn with_middleware<S>(routes: Router<S>, metrics: &Arc<Metrics>, bodies: BodyBudget) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(middleware::from_fn(storage::warn))
        .layer(middleware::from_fn_with_state(Arc::clone(metrics), metrics::observe))
        .method_not_allowed_fallback(|| async {
            Problem::of(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method; see openapi.json")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(bodies, bodies::receive))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

/// What is logged of a request carries the id that the caller gets, or gave.
fn span(request: &Request) -> Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    info_span!("request", method = %request.method(), path = request.uri().path(), request_id = id, tenant = Empty, actor = Empty)
}

// The signature is the layer's.
#[allow(clippy::needless_pass_by_value)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    error!(panic = text, "a handler panicked");
    Problem::internal().into_response()
}

/// Serves until SIGTERM, then finishes what is under way.
pub async fn serve(service: &Service, app: App, internal: Router<App>) -> anyhow::Result<()> {
    let leaving = Arc::new(AtomicBool::new(false));
    let probes = probes(&app, Arc::clone(&leaving));
    let name = app.config.service.clone();
    let limits = app.config.listener;
    listen(&name, router(service, &app, internal), probes, limits, leaving, app.stopping.clone()).await
}

/// Serves an API, and its probes on a port of their own. On SIGTERM it says that it is leaving, for as long as the endpoints need
/// to forget it, and then finishes what is under way.
pub async fn listen(
    service: &str,
    api: Router,
    probes: Router,
    limits: ListenerLimits,
    leaving: Arc<AtomicBool>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let admin = TcpListener::bind(("0.0.0.0", ADMIN_PORT)).await?;
    tokio::spawn(easycode_listener::serve(admin, probes, ListenerLimits::of_probes()?, std::future::pending()));
    let listener = TcpListener::bind(("0.0.0.0", API_PORT)).await?;
    info!(service, "serving");
    let api = api.layer(middleware::from_fn_with_state(Arc::clone(&leaving), close_while_draining));
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = stopping.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        info!("asked to stop");
        leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAIN).await;
        stop.cancel();
    });
    let serving = easycode_listener::serve(listener, api, limits, stopping.clone().cancelled_owned());
    let overdue = async {
        stopping.cancelled().await;
        tokio::time::sleep(FINISH).await;
    };
    tokio::select! {
        () = serving => {}
        () = overdue => warn!("requests that take too long are cut off"),
    }
    Ok(())
}

/// While the service is leaving, every answer ends its connection: whoever keeps one open would else ask by it just as it is closed.
async fn close_while_draining(State(leaving): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    let may_end = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if may_end && leaving.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn probes(app: &App, leaving: Arc<AtomicBool>) -> Router {
    let (ready, metrics) = (app.clone(), Arc::clone(&app.metrics));
    let told = Arc::new(AtomicBool::new(false));
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/metrics", get(move || std::future::ready(metrics.encode())))
        .route(
            "/readyz",
            get(move || {
                let (app, leaving, told) = (ready.clone(), Arc::clone(&leaving), Arc::clone(&told));
                async move {
                    if leaving.load(Ordering::Relaxed) {
                        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
                    }
                    if !app.contexts.is_synced() {
                        return (StatusCode::SERVICE_UNAVAILABLE, "no contexts yet");
                    }
                    // Only at the start: a database that is away later is told per request, and readiness that fails
                    // on every replica at once would help nobody.
                    if !app.connections.reach().await {
                        return (StatusCode::SERVICE_UNAVAILABLE, "no database yet");
                    }
                    if !told.swap(true, Ordering::Relaxed) {
                        info!("ready");
                    }
                    (StatusCode::OK, "ok")
                }
            }),
        )
}

#[cfg(test)]
impl App {
    /// Of a service that can reach nothing.
    pub(crate) fn of_nowhere(config: Config) -> Self {
        Self {
            issuers: Arc::new(Issuers::of(&config)),
            config: Arc::new(config),
            connections: Connections::new(&sqlx::postgres::PgConnectOptions::new_without_pgpass(), 1),
            contexts: Contexts::local(),
            limits: Arc::default(),
            storage: Arc::default(),
            metrics: Arc::default(),
            delegations: Arc::default(),
            http: crate::http::client(),
            stopping: CancellationToken::new(),
            own: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use utoipa_axum::router::OpenApiRouter;

    use super::*;

    #[tokio::test]
    async fn a_service_that_leaves_ends_the_connections_of_who_asks() -> anyhow::Result<()> {
        let leaving = Arc::new(AtomicBool::new(false));
        let router = Router::new()
            .route("/", get(async || "served"))
            .layer(middleware::from_fn_with_state(Arc::clone(&leaving), close_while_draining));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(easycode_listener::serve(listener, router, ListenerLimits::default(), std::future::pending()));
        let http = crate::http::client();
        let stays = http.get(format!("http://{address}/")).send().await?;
        assert_eq!(stays.headers().get("connection"), None);
        leaving.store(true, Ordering::Relaxed);
        let ends = http.get(format!("http://{address}/")).send().await?;
        assert_eq!(ends.headers()["connection"], "close");
        assert_eq!(ends.text().await?, "served");
        Ok(())
    }

    #[tokio::test]
    async fn every_answer_carries_the_requests_id() -> anyhow::Result<()> {
        let service = Service {
            name: "crm",
            prefix: None,
            migrations: &[],
            routes: OpenApiRouter::new,
            roles: &[],
            settings: None,
        };
        let internal = Router::new().route("/panic", get(async || -> StatusCode { panic!("as it must") }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = router(&service, &App::of_nowhere(Config::of_nowhere()), internal);
        tokio::spawn(easycode_listener::serve(listener, router, ListenerLimits::default(), std::future::pending()));

        let http = crate::http::client();
        let panicked = http.get(format!("http://{address}/panic")).send().await?;
        assert_eq!(panicked.status(), 500);
        assert_eq!(panicked.headers()["x-request-id"].len(), 36, "{:?}", panicked.headers());
        assert_eq!(panicked.headers()["content-type"], "application/problem+json");
        let given = http.get(format!("http://{address}/nowhere")).header("x-request-id", "mine").send().await?;
        assert_eq!(given.status(), 404);
        assert_eq!(given.headers()["x-request-id"], "mine");
        Ok(())
    }
}
