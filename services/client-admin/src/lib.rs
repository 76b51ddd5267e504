//! client-admin-service: where EasyCode's staff onboard client companies, change what was agreed with them, and see the fleet.
//!
//! It has no database. The custom resources are its data, kept in memory by watches ([`fleet`]); what a person wants is compared with
//! them and applied under a field manager of its own ([`change`]), which never overwrites what another manager owns unless
//! an administrator has seen owner and value. The API is [`api`], the console [`console`]; who someone is comes from [`sign_in`].

pub mod api;
mod app;
pub mod catalogue;
pub mod change;
pub mod config;
pub mod console;
pub mod fleet;
pub mod history;
pub mod invitation;
pub mod refusal;
pub mod session;
pub mod sign_in;
pub mod staff;
pub mod trail;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, http::StatusCode, routing::get};
use easycode_kit::BodyBudget;
use easycode_listener::Limits;

pub use self::app::App;
use self::config::Config;

/// `main`: serves until it is asked to stop.
#[must_use]
pub fn main() -> ExitCode {
    easycode_kit::log();
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let app = App::connect(Config::from_environment()?).await?;
    let leaving = Arc::new(AtomicBool::new(false));
    let bodies = BodyBudget::new(easycode_kit::config::bodies_bytes()?);
    let routes = Router::new().merge(api::routes(&app)).merge(console::routes(&app));
    let routes = easycode_kit::with_middleware(routes, &app.metrics, bodies).with_state(app.clone());
    let probes = probes(&app, Arc::clone(&leaving));
    let limits = Limits::from_environment()?;
    easycode_kit::listen("client-admin", routes, probes, limits, leaving, app.stopping.clone()).await
}

fn probes(app: &App, leaving: Arc<AtomicBool>) -> Router {
    let (fleet, metrics) = (app.fleet.clone(), Arc::clone(&app.metrics));
    let ready = move || {
        std::future::ready(match (leaving.load(Ordering::Relaxed), fleet.is_complete()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "the custom resources are being listed"),
            _ => (StatusCode::OK, "ok"),
        })
    };
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || std::future::ready(metrics.encode())))
}
