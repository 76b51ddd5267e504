//! What every EasyCode service needs, so that a service is only its own domain.
//!
//! A request passes [`token`] (who is it), [`guard`] (may the tenant use this service now), and works in the tenant's
//! transaction ([`database`]). Contexts are kept fresh by [`contexts`].

pub mod bodies;
pub mod config;
mod connections;
pub mod contexts;
mod credentials;
pub mod database;
pub mod date;
mod delegations;
pub mod document;
pub mod extract;
pub mod generations;
pub mod guard;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod migrate;
pub mod money;
pub mod names;
pub mod outbox;
pub mod page;
pub mod peer;
pub mod postings;
mod probe;
pub mod problem;
pub mod record;
mod server;
mod storage;
mod stream;
pub mod token;
mod turnover;
mod verified;
pub mod workload;

use std::process::ExitCode;

pub use bodies::BodyBudget;
pub use config::Config;
pub use database::TenantTransaction;
pub use extract::{Json, Path, Query};
pub use guard::Caller;
pub use idempotency::RequestKey;
pub use migrate::Migration;
pub use money::{Amount, Currency, Quantity};
pub use problem::Problem;
use serde::Serialize;
pub use server::{App, listen, router, serve, with_middleware};
use tracing_subscriber::EnvFilter;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// A service: its name, its migrations, its API.
#[derive(Clone, Copy)]
pub struct Service {
    /// Name that it runs under, unless the environment gives another.
    pub name: &'static str,
    /// First segment of its paths; its name without one.
    pub prefix: Option<&'static str>,
    /// All its migrations, oldest first.
    pub migrations: &'static [Migration],
    /// Its API, below `/{prefix}/v1`.
    pub routes: fn() -> OpenApiRouter<App>,
    /// The roles that its users can have.
    pub roles: &'static [Role],
    /// JSON Schema (2020-12) of the settings that a company's administrators can make for it, if there are any.
    pub settings: Option<&'static str>,
}

/// What a user may do in a service, under one name.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Role {
    /// Its name in tokens, such as `finance-manager`.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub description: &'static str,
    /// Roles of other services that it takes to do so. They are the service's that defines this one, when it calls others for whoever
    /// has it, as far as the tenant is entitled; the user has none of them.
    pub implies: &'static [&'static str],
}

/// `main` of a service: serves, or does what the first argument says: `migrate`, or `probe`.
#[must_use]
pub fn main(service: &Service) -> ExitCode {
    run(service, |config| async move {
        let app = App::connect(config)?;
        serve(service, app, axum::Router::new()).await
    })
}

/// Logs as JSON lines, of what `RUST_LOG` says.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
}

/// As [`main`], for a service that starts in a way of its own.
pub fn run<F>(service: &Service, start: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    log();
    let outcome = async {
        if std::env::args().nth(1).as_deref() == Some(easycode_contract::probe::COMMAND) {
            return probe::run().await;
        }
        let config = Config::from_environment(service)?;
        match std::env::args().nth(1).as_deref() {
            None => {
                tracing::info!(service = config.service, "starting");
                start(config).await
            }
            Some(easycode_contract::runtime::MIGRATE_COMMAND) => migrate::run(&config, service.migrations).await,
            Some(other) => anyhow::bail!("unknown command {other}; run without any to serve, or with migrate or probe"),
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match runtime.block_on(outcome) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            if error.is::<names::Unresolved>() {
                ExitCode::from(easycode_contract::runtime::UNRESOLVED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
