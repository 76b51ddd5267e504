//! Keeps the published settings as they are in the database, whichever replica changed them.

use std::{sync::Arc, time::Duration};

use easycode_contract::context::TenantContext;
use easycode_kit::{App, Problem, TenantTransaction, database::pool};
use futures::{StreamExt, stream};
use serde_json::Value;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener},
};
use tracing::warn;

use super::CHANNEL;
use crate::publisher::{Publisher, Settings};

/// Longest time that tenants are held back because their settings can't be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants whose settings are read at once.
const AT_ONCE: usize = 8;

/// Follows for as long as the process lives.
pub async fn follow(app: App, publisher: Publisher) {
    let held_back = publisher.clone();
    tokio::spawn(async move {
        held_back.listed().await;
        tokio::time::sleep(PATIENCE).await;
        held_back.complete();
    });
    loop {
        if let Err(error) = listen(&app, &publisher).await {
            warn!(error = format!("{error:#}"), "settings can't be followed, trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn listen(app: &App, publisher: &Publisher) -> anyhow::Result<()> {
    let mut credentials = app.connections.any().connect_options();
    let mut listener = listener(&credentials).await?;
    publisher.listed().await;
    let mut unloaded = publisher.unloaded();
    loop {
        unloaded.borrow_and_update();
        let loaded = load_all(app, publisher, publisher.without_settings().into_iter().map(Arc::new).collect()).await;
        if loaded {
            publisher.complete();
        }
        tokio::select! {
            notification = listener.try_recv() => {
                // `None` is a lost connection: what was announced meanwhile is unknown, so all of it is read again.
                let Some(notification) = notification? else {
                    load_all(app, publisher, app.contexts.all()).await;
                    return Ok(());
                };
                if let Some(context) = publisher.get(notification.payload()) {
                    load(app, publisher, &context).await;
                }
            }
            () = changed_credentials(app.connections.any(), &credentials) => {
                // Heard by the next one before all is read again, so that nothing is missed between.
                credentials = app.connections.any().connect_options();
                listener = self::listener(&credentials).await?;
                load_all(app, publisher, app.contexts.all()).await;
            }
            changed = unloaded.changed() => changed?,
            () = tokio::time::sleep(Duration::from_secs(5)), if !loaded => {}
        }
    }
}

/// A connection of its own, which is never given back.
async fn listener(credentials: &PgConnectOptions) -> anyhow::Result<PgListener> {
    let mut listener = PgListener::connect_with(&pool(credentials.clone(), 1)).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Waits until the pool has other credentials: a connection that never goes back to it would keep those of before in use.
async fn changed_credentials(pool: &PgPool, known: &Arc<PgConnectOptions>) {
    while Arc::ptr_eq(&pool.connect_options(), known) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Whether all could be read.
async fn load_all(app: &App, publisher: &Publisher, contexts: Vec<Arc<TenantContext>>) -> bool {
    stream::iter(contexts)
        .map(|context| async move { load(app, publisher, &context).await })
        .buffer_unordered(AT_ONCE)
        .fold(true, |all, loaded| std::future::ready(all && loaded))
        .await
}

/// Reads a tenant's settings as the tenant. Its schema may not be there yet; then it is tried again.
async fn load(app: &App, publisher: &Publisher, context: &TenantContext) -> bool {
    match read(app, context).await {
        Ok(settings) => {
            publisher.set(&context.tenant, settings);
            true
        }
        Err(problem) => {
            warn!(tenant = context.tenant, detail = problem.detail, "its settings can't be read");
            false
        }
    }
}

async fn read(app: &App, context: &TenantContext) -> Result<Settings, Problem> {
    let mut transaction = TenantTransaction::begin(&app.connections, context, &app.limits).await?;
    let rows: Vec<(String, Value)> =
        sqlx::query_as("SELECT service, value FROM setting").fetch_all(&mut *transaction).await?;
    Ok(rows.into_iter().collect())
}
