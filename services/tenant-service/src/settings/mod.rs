//! The settings that a tenant's administrators make, one JSON object a service, in the tenant's own schema. Each fits the JSON Schema
//! that the service declares.

mod follow;
mod history;
mod store;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use easycode_contract::context::TenantContext;
use easycode_kit::{
    App, Caller, Json, Path, Problem, TenantTransaction,
    guard::ADMINISTRATOR,
    record::{self, IfMatch},
};
pub use follow::follow;
use serde_json::Value;
use store::{Change, Setting};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    internal::tagged,
    schemas::{Schemas, UI},
};

/// Channel on which replicas tell each other whose settings changed.
const CHANNEL: &str = "settings";

/// The API for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(context))
        .routes(routes!(list))
        .routes(routes!(read, put, delete))
        .routes(routes!(schema))
        .merge(history::routes())
        .layer(Extension(Schemas::default()))
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
    Ok(Json(store::all(&mut transaction).await?))
}

/// The settings of a service that the tenant is entitled to, or of the user interface (`ui`). Empty where the defaults are in force.
#[utoipa::path(get, path = "/settings/{service}", responses((status = 200, body = Setting), (status = 403)))]
async fn read(caller: Caller, State(app): State<App>, Path(service): Path<String>) -> Result<Response, Problem> {
    entitled(&caller, &service)?;
    let mut transaction = caller.begin(&app).await?;
    Ok(answer(store::present(&mut transaction, &service).await?))
}

/// The JSON Schema (2020-12) that the settings of the service have to fit.
#[utoipa::path(get, path = "/settings/{service}/schema", responses((status = 200, body = Object, content_type = "application/schema+json"), (status = 403), (status = 503)))]
async fn schema(
    caller: Caller,
    State(app): State<App>,
    Extension(schemas): Extension<Schemas>,
    Path(service): Path<String>,
) -> Result<Response, Problem> {
    entitled(&caller, &service)?;
    let schema = schemas.of(&app, &service).await?;
    let media = [(header::CONTENT_TYPE, "application/schema+json")];
    Ok((media, schema.document().to_string()).into_response())
}

/// Sets the settings of a service that the tenant is entitled to, or of the user interface (`ui`). What does not fit the service's
/// schema is refused, and `errors` says where and why.
#[utoipa::path(put, path = "/settings/{service}", params(IfMatch), request_body = Object, responses((status = 200, body = Setting), (status = 412), (status = 422, body = Problem), (status = 503)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Extension(schemas): Extension<Schemas>,
    Path(service): Path<String>,
    headers: HeaderMap,
    Json(value): Json<Value>,
) -> Result<Response, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    entitled(&caller, &service)?;
    if !value.is_object() {
        return Err(Problem::invalid("the body must be a JSON object"));
    }
    schemas.of(&app, &service).await?.check(&service, &value)?;
    Ok(answer(change(&caller, &app, &headers, &service, Change::Set(value)).await?))
}

/// Takes the settings of a service back to its defaults.
#[utoipa::path(delete, path = "/settings/{service}", params(IfMatch), responses((status = 204), (status = 412)))]
async fn delete(
    caller: Caller,
    State(app): State<App>,
    Path(service): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    change(&caller, &app, &headers, &service, Change::Reset).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entitled(caller: &Caller, service: &str) -> Result<(), Problem> {
    if service == UI || caller.context.allows(service) {
        return Ok(());
    }
    Err(Problem::forbidden("not-entitled", format!("the tenant is not entitled to {service}")))
}

fn answer(setting: Setting) -> Response {
    ([(header::ETAG, format!("\"{}\"", setting.version))], Json(setting)).into_response()
}

/// Makes a change, of just the version that `If-Match` names if there is one, and tells all replicas.
async fn change(
    caller: &Caller,
    app: &App,
    headers: &HeaderMap,
    service: &str,
    change: Change,
) -> Result<Setting, Problem> {
    let expected = record::expected_version(headers)?;
    let mut transaction = caller.begin(app).await?;
    store::hold(&mut transaction).await?;
    let present = store::present(&mut transaction, service).await?;
    if expected.is_some_and(|expected| expected != present.version) {
        return Err(Problem::changed("the settings were changed meanwhile; read them and try again"));
    }
    // Where the defaults are in force, taking them back changes nothing.
    if matches!(change, Change::Reset) && present.is_default() {
        return Ok(present);
    }
    let setting = store::change(&mut transaction, caller, present, change).await?;
    announce(caller, transaction).await?;
    Ok(setting)
}

async fn announce(caller: &Caller, mut transaction: TenantTransaction) -> Result<(), Problem> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&caller.tenant).execute(&mut *transaction).await?;
    transaction.commit().await
}
