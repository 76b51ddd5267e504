//! The schemas of settings. Each service declares its own, as its running release has it, so it is the service that is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use easycode_contract::runtime::SETTINGS_SCHEMA_PATH;
use easycode_kit::{App, Problem, http::bounded};
use serde_json::Value;
use tracing::warn;

use crate::schema::Schema;

/// The settings of no single service, whose schema is tenant-service's own.
pub const UI: &str = "ui";

/// How long a schema counts without asking again.
const FRESH: Duration = Duration::from_mins(1);
/// Longest wait for a service.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest schema.
const LONGEST: usize = 1 << 18;

/// The schemas that were read; cheap to clone.
#[derive(Clone, Default)]
pub struct Schemas(Arc<Mutex<HashMap<String, Known>>>);

#[derive(Clone)]
struct Known {
    schema: Arc<Schema>,
    read: Instant,
}

impl Schemas {
    /// The schema of a service's settings. While the service does not answer, the last one that it gave.
    pub async fn of(&self, app: &App, service: &str) -> Result<Arc<Schema>, Problem> {
        let known = self.known(service);
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH) {
            return Ok(Arc::clone(&known.schema));
        }
        match read(app, service).await {
            Ok(schema) => {
                let schema = Arc::new(schema);
                self.keep(service, Known { schema: Arc::clone(&schema), read: Instant::now() });
                Ok(schema)
            }
            Err(error) => {
                warn!(service, error = format!("{error:#}"), "its schema of settings can't be read");
                known.map(|known| known.schema).ok_or_else(|| {
                    let detail = format!("{service} does not say right now what its settings can be; try again");
                    Problem::unavailable(detail)
                })
            }
        }
    }

    fn known(&self, service: &str) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    fn keep(&self, service: &str, known: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), known);
    }
}

async fn read(app: &App, service: &str) -> anyhow::Result<Schema> {
    if service == UI {
        let own = crate::SERVICE.settings.context("tenant-service declares no settings")?;
        return Schema::compile(serde_json::from_str(own)?);
    }
    let url = format!("{}{SETTINGS_SCHEMA_PATH}", app.config.api_url(service));
    let answer = async {
        let response = app.http.get(url).send().await?.error_for_status()?;
        Ok::<_, anyhow::Error>(bounded(response, LONGEST).await?)
    };
    let body = tokio::time::timeout(PATIENCE, answer).await.context("it takes too long")??;
    let document: Value = serde_json::from_slice(&body).context("it is no JSON")?;
    Schema::compile(document)
}
