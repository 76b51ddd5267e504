//! What handlers share.

use std::sync::Arc;

use anyhow::Context;
use axum::extract::FromRef;
use axum_extra::extract::cookie::Key;
use clap::Parser;
use easycode_kit::metrics::Metrics;
use easycode_operator::{runtime::options::Options, stack::blueprint::Operator};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{config::Config, fleet::Fleet, sign_in::Provider};

/// Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Configuration.
    pub config: Arc<Config>,
    /// Way to the API server.
    pub client: Client,
    /// The custom resources, as of now.
    pub fleet: Fleet,
    /// Who knows EasyCode's staff.
    pub provider: Arc<Provider>,
    /// The operator, as the objects that it makes refer to it.
    pub operator: Arc<Operator>,
    /// Requests to others.
    pub http: reqwest::Client,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the process stops; an answer without an end ends then.
    pub stopping: CancellationToken,
}

impl App {
    /// Connects, and begins to watch.
    pub async fn connect(config: Config) -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("no way to the API server")?;
        Ok(Self {
            fleet: Fleet::watch(&client),
            provider: Arc::new(Provider::new(&config)),
            operator: Arc::new(Options::parse_from(["easycode-operator"]).operator()),
            config: Arc::new(config),
            client,
            http: easycode_kit::http::client(),
            metrics: Arc::default(),
            stopping: CancellationToken::new(),
        })
    }
}

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Self {
        app.config.session_key.clone()
    }
}
