//! Keeps the published settings as they are in the database, whichever replica changed them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use easycode_contract::context::{TenantContext, TenantState};
use easycode_kit::{App, Problem, TenantTransaction, database::pool};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener},
};
use tokio::time::interval;
use tracing::warn;

use super::CHANNEL;
use crate::publisher::{Publisher, Settings};

/// Longest time that tenants are held back because their settings can't be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants whose settings are read at once.
const AT_ONCE: usize = 8;
/// Time until what could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(5);

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
    let mut again = interval(AGAIN);
    let mut readers = Readers::new(app, publisher);
    // Whatever was announced before is unknown, so all of it is read; the same after each gap.
    readers.due.extend(publisher.tenants());
    loop {
        unloaded.borrow_and_update();
        let missing = publisher.without_settings();
        if missing.is_empty() {
            publisher.complete();
        }
        readers.miss(missing);
        readers.begin();
        tokio::select! {
            notification = listener.try_recv() => {
                if let Some(notification) = notification? {
                    readers.due.insert(notification.payload().to_owned());
                } else {
                    listener = self::listener(&credentials).await?;
                    readers.due.extend(publisher.tenants());
                }
            }
            () = changed_credentials(app.connections.any(), &credentials) => {
                // Heard by the next one before all is read again, so that nothing is missed between.
                credentials = app.connections.any().connect_options();
                listener = self::listener(&credentials).await?;
                readers.due.extend(publisher.tenants());
            }
            changed = unloaded.changed() => changed?,
            () = readers.read(), if readers.are_busy() => {}
            _ = again.tick() => readers.due.append(&mut readers.failed),
        }
    }
}

/// Read tenants' settings side by side, so that nobody waits for a tenant that is slow; those of one tenant one after the other, so that
/// what was read last is what counts.
struct Readers<'a> {
    app: &'a App,
    publisher: &'a Publisher,
    /// Tenants whose settings are to be read.
    due: BTreeSet<String>,
    /// Those whose settings could not be read.
    failed: BTreeSet<String>,
    /// Those whose settings are being read.
    busy: BTreeSet<String>,
    running: FuturesUnordered<BoxFuture<'a, (String, bool)>>,
}

impl<'a> Readers<'a> {
    fn new(app: &'a App, publisher: &'a Publisher) -> Self {
        let (due, failed, busy) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { app, publisher, due, failed, busy, running: FuturesUnordered::new() }
    }

    fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Takes up those of whom nothing was read yet.
    fn miss(&mut self, tenants: Vec<String>) {
        let new = tenants.into_iter().filter(|one| !self.busy.contains(one) && !self.failed.contains(one));
        self.due.extend(new);
    }

    /// Begins with as many as may be read at once.
    fn begin(&mut self) {
        let free = AT_ONCE.saturating_sub(self.busy.len());
        let next: Vec<_> = self.due.difference(&self.busy).take(free).cloned().collect();
        for tenant in next {
            self.due.remove(&tenant);
            self.busy.insert(tenant.clone());
            let (app, publisher) = (self.app, self.publisher);
            self.running.push(async move { (tenant.clone(), load(app, publisher, &tenant).await) }.boxed());
        }
    }

    /// Waits for one of those that are being read.
    async fn read(&mut self) {
        let Some((tenant, loaded)) = self.running.next().await else { return };
        self.busy.remove(&tenant);
        if !loaded {
            self.failed.insert(tenant);
        }
    }
}

/// A connection of its own, which is never given back.
async fn listener(credentials: &PgConnectOptions) -> anyhow::Result<PgListener> {
    let mut listener = PgListener::connect_with(&pool(credentials.clone(), 1)).await?;
    // It is not to connect by itself: that could be given up midway, and then nobody would know of the gap.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Waits until the pool has other credentials: a connection that never goes back to it would keep those of before in use.
async fn changed_credentials(pool: &PgPool, known: &Arc<PgConnectOptions>) {
    while Arc::ptr_eq(&pool.connect_options(), known) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Reads a tenant's settings as the tenant. Its schema may not be there yet; then it is tried again.
async fn load(app: &App, publisher: &Publisher, tenant: &str) -> bool {
    let Some(context) = publisher.get(tenant) else { return true };
    if context.state != TenantState::Active {
        // Nobody may read its schema. Something may have been changed before it was suspended, so it is read when it can be.
        return false;
    }
    match read(app, &context).await {
        Ok(settings) => {
            publisher.set(tenant, &context.uid, settings);
            true
        }
        Err(problem) => {
            warn!(tenant, detail = problem.detail, "its settings can't be read");
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
