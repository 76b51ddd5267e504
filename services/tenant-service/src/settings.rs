//! The settings that a tenant's administrators make, one JSON object a service, in the tenant's own schema.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use easycode_contract::context::TenantContext;
use easycode_kit::{App, Caller, Json, Path, Problem, TenantTransaction};
use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener},
};
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    internal::tagged,
    publisher::{Publisher, Settings},
};

/// Role of a tenant's administrators.
const ADMINISTRATOR: &str = "tenant-admin";
/// Channel on which replicas tell each other whose settings changed.
const CHANNEL: &str = "settings";
/// Longest time that tenants are held back because their settings can't be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants whose settings are read at once.
const AT_ONCE: usize = 8;

/// Settings of one service with their version.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
struct Setting {
    /// The service, or `ui`.
    service: String,
    /// What was set.
    value: Value,
    /// Grows with each change; send it as `If-Match`.
    version: i32,
}

/// The API for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(context)).routes(routes!(list)).routes(routes!(put, delete))
}

/// The caller's own tenant: state, entitlements, limits, settings.
#[utoipa::path(get, path = "/context", responses((status = 200, body = TenantContext), (status = 304)))]
async fn context(caller: Caller, headers: HeaderMap) -> Response {
    let shown = TenantContext { administrators: Vec::new(), ..(*caller.context).clone() };
    tagged(&headers, &shown)
}

/// All settings of the caller's tenant.
#[utoipa::path(get, path = "/settings", responses((status = 200, body = Vec<Setting>)))]
async fn list(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Setting>>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    let settings = sqlx::query_as("SELECT service, value, version FROM setting ORDER BY service")
        .fetch_all(&mut *transaction)
        .await?;
    Ok(Json(settings))
}

/// Sets the settings of a service that the tenant is entitled to, or of the user interface (`ui`).
#[utoipa::path(put, path = "/settings/{service}", request_body = Object, responses((status = 200, body = Setting), (status = 412)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path(service): Path<String>,
    headers: HeaderMap,
    Json(value): Json<Value>,
) -> Result<Response, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    if service != "ui" && !caller.context.allows(&service) {
        return Err(Problem::forbidden("not-entitled", format!("the tenant is not entitled to {service}")));
    }
    if !value.is_object() {
        return Err(Problem::invalid("the body must be a JSON object"));
    }
    let mut transaction = caller.begin(&app).await?;
    check_version(&headers, &service, &mut transaction).await?;
    let setting: Setting = sqlx::query_as(
        "INSERT INTO setting (service, value, updated_by) VALUES ($1, $2, $3)
         ON CONFLICT (service) DO UPDATE SET value = excluded.value, version = setting.version + 1, updated_at = now(), updated_by = excluded.updated_by
         RETURNING service, value, version",
    )
    .bind(&service)
    .bind(&value)
    .bind(&caller.subject)
    .fetch_one(&mut *transaction)
    .await?;
    announce(&caller, transaction).await?;
    Ok(([(header::ETAG, format!("\"{}\"", setting.version))], Json(setting)).into_response())
}

/// Takes the settings of a service back to its defaults.
#[utoipa::path(delete, path = "/settings/{service}", responses((status = 204), (status = 412)))]
async fn delete(
    caller: Caller,
    State(app): State<App>,
    Path(service): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    let mut transaction = caller.begin(&app).await?;
    check_version(&headers, &service, &mut transaction).await?;
    sqlx::query("DELETE FROM setting WHERE service = $1").bind(&service).execute(&mut *transaction).await?;
    announce(&caller, transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// With `If-Match`, only the version that the caller has seen is changed.
async fn check_version(headers: &HeaderMap, service: &str, transaction: &mut TenantTransaction) -> Result<(), Problem> {
    let Some(expected) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let present: Option<i32> = sqlx::query_scalar("SELECT version FROM setting WHERE service = $1 FOR UPDATE")
        .bind(service)
        .fetch_optional(&mut **transaction)
        .await?;
    if present.is_some_and(|version| expected.as_bytes() == format!("\"{version}\"").as_bytes()) {
        return Ok(());
    }
    Err(Problem::changed("the settings were changed meanwhile; read them and try again"))
}

async fn announce(caller: &Caller, mut transaction: TenantTransaction) -> Result<(), Problem> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&caller.tenant).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Keeps the published settings as they are in the database, whichever replica changed them.
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
    let mut credentials = app.pool.connect_options();
    let mut listener = PgListener::connect_with(&app.pool).await?;
    listener.listen(CHANNEL).await?;
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
            () = changed_credentials(&app.pool, &credentials) => {
                // Heard by the next one before all is read again, so that nothing is missed between.
                credentials = app.pool.connect_options();
                listener = PgListener::connect_with(&app.pool).await?;
                listener.listen(CHANNEL).await?;
                load_all(app, publisher, app.contexts.all()).await;
            }
            changed = unloaded.changed() => changed?,
            () = tokio::time::sleep(Duration::from_secs(5)), if !loaded => {}
        }
    }
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
    let mut transaction = TenantTransaction::begin(&app.pool, context, &app.limits).await?;
    let rows: Vec<(String, Value)> =
        sqlx::query_as("SELECT service, value FROM setting").fetch_all(&mut *transaction).await?;
    Ok(rows.into_iter().collect())
}
