//! Serves the API, and on another port probes and metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware,
    routing::get,
};
use easycode_contract::runtime::{ADMIN_PORT, API_PORT, USER_AUDIENCE};
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::{Span, info};
use utoipa::openapi::{
    Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{
    Config, Problem, Service,
    contexts::Contexts,
    database,
    limits::Limits,
    metrics::{self, Metrics},
    token::{KeyLocation, Verifier},
};

/// Longest request body.
const LONGEST_BODY: usize = 1 << 20;
/// Time for the endpoints to forget a replica that stops.
const DRAIN: Duration = Duration::from_secs(3);

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Configuration.
    pub config: Arc<Config>,
    /// Connections to the service's database. A tenant's data is reached by [`crate::Caller::begin`] only.
    pub pool: PgPool,
    /// Contexts of the tenants.
    pub contexts: Contexts,
    /// Checks users' tokens.
    pub verifier: Arc<Verifier<KeyLocation>>,
    /// Limits of the tenants.
    pub limits: Arc<Limits>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
}

impl App {
    /// Connects to database and tenant-service, as soon as they are there.
    pub fn connect(config: Config) -> anyhow::Result<Self> {
        let contexts = Contexts::remote(&config);
        Self::with_contexts(config, contexts)
    }

    /// With contexts from elsewhere.
    pub fn with_contexts(config: Config, contexts: Contexts) -> anyhow::Result<Self> {
        let pool = database::pool(database::options(&config.database)?, config.connections);
        tokio::spawn(database::follow_credentials(pool.clone(), config.database.clone()));
        Ok(Self {
            verifier: Arc::new(Verifier::new(KeyLocation::new(&config.jwks), &config.issuer, USER_AUDIENCE)),
            config: Arc::new(config),
            pool,
            contexts,
            limits: Arc::default(),
            metrics: Arc::default(),
        })
    }
}

/// The service's API with everything around it; `internal` is for other services.
pub fn router(service: &Service, app: &App, internal: Router<App>) -> Router {
    let base = format!("/{}/v1", app.config.prefix);
    let (api, mut document) = (service.routes)().split_for_parts();
    document.info.title.clone_from(&app.config.service);
    document.servers = Some(vec![Server::new(&base)]);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    let api = api.route("/openapi.json", get(move || std::future::ready(Json(document.clone()))));
    Router::new()
        .nest(&base, api)
        .merge(internal)
        .fallback(|| async { Problem::not_found("there is no such path; see openapi.json") })
        .layer(middleware::from_fn_with_state(Arc::clone(&app.metrics), metrics::observe))
        .method_not_allowed_fallback(|| async {
            Problem::of(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method; see openapi.json")
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(CatchPanicLayer::custom(|_| axum::response::IntoResponse::into_response(Problem::internal())))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| -> Span {
            tracing::info_span!("request", method = %request.method(), path = request.uri().path(), tenant = tracing::field::Empty)
        }))
        .with_state(app.clone())
}

/// Serves until SIGTERM, then finishes what is under way.
pub async fn serve(service: &Service, app: App, internal: Router<App>) -> anyhow::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    let admin = TcpListener::bind(("0.0.0.0", ADMIN_PORT)).await?;
    let probes = probes(&app, Arc::clone(&stopping));
    tokio::spawn(async move { axum::serve(admin, probes).await });
    let api = TcpListener::bind(("0.0.0.0", API_PORT)).await?;
    info!(service = app.config.service, "serving");
    let mut terminate = signal(SignalKind::terminate())?;
    let router = router(service, &app, internal);
    let serving = axum::serve(api, router).with_graceful_shutdown(async move {
        terminate.recv().await;
        info!("asked to stop");
        stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAIN).await;
    });
    serving.await?;
    Ok(())
}

fn probes(app: &App, stopping: Arc<AtomicBool>) -> Router {
    let (ready, metrics) = (app.clone(), Arc::clone(&app.metrics));
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/metrics", get(move || std::future::ready(metrics.encode())))
        .route(
            "/readyz",
            get(move || {
                let (app, stopping) = (ready.clone(), Arc::clone(&stopping));
                async move {
                    if stopping.load(Ordering::Relaxed) {
                        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
                    }
                    if !app.contexts.is_synced() {
                        return (StatusCode::SERVICE_UNAVAILABLE, "no contexts yet");
                    }
                    // Only at the start: a database that is away later is told per request, and readiness that fails
                    // on every replica at once would help nobody.
                    if app.pool.size() == 0 && app.pool.acquire().await.is_err() {
                        return (StatusCode::SERVICE_UNAVAILABLE, "no database yet");
                    }
                    (StatusCode::OK, "ok")
                }
            }),
        )
}
