//! `/livez`, `/readyz` and `/metrics`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use easycode_listener::Limits;
use tokio::net::TcpListener;

use super::metrics::Metrics;

/// What the probes tell.
#[derive(Clone, Default)]
pub struct Probes {
    /// Set once the operator can take over: it leads with warm caches, or waits for the lease.
    pub ready: Arc<AtomicBool>,
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, probes: Probes, metrics: Arc<Metrics>, limits: Limits) {
    let ready = move |State(probes): State<Probes>| async move {
        if probes.ready.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "starting")
        }
    };
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || std::future::ready(metrics.encode())))
        .with_state(probes);
    easycode_listener::serve(listener, router, limits, std::future::pending()).await;
}
