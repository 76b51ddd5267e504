//! The versions of a service's settings, and the way back to one.

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use easycode_kit::{App, Caller, Json, Path, Problem, Query, guard::ADMINISTRATOR, page, record::IfMatch};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer, change, entitled,
    store::{self, Change, Setting, Version},
};
use crate::schemas::Schemas;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(rollback))
}

/// Which page.
#[derive(Deserialize, IntoParams)]
struct Which {
    /// Versions a page, 1 to 100; 25 without it.
    limit: Option<i64>,
    /// `next` of the page before.
    before: Option<i32>,
}

/// A page of versions, newest first.
#[derive(Serialize, ToSchema)]
struct Versions {
    /// The versions.
    items: Vec<Version>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i32>,
}

/// The version that is wanted back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Its number.
    version: i32,
}

/// A page of the versions that the settings of the service ever had, newest first.
#[utoipa::path(get, path = "/settings/{service}/versions", params(Which), responses((status = 200, body = Versions), (status = 403)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Path(service): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Versions>, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    entitled(&caller, &service)?;
    let limit = page::bounded(which.limit)?;
    let mut transaction = caller.begin(&app).await?;
    let before = which.before.unwrap_or(i32::MAX);
    let (items, more) = store::versions(&mut transaction, &service, before, limit).await?;
    let next = items.last().filter(|_| more).map(|last| last.number);
    Ok(Json(Versions { items, next }))
}

/// One version.
#[utoipa::path(get, path = "/settings/{service}/versions/{version}", responses((status = 200, body = Version), (status = 403), (status = 404)))]
async fn read(
    caller: Caller,
    State(app): State<App>,
    Path((service, number)): Path<(String, i32)>,
) -> Result<Json<Version>, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    entitled(&caller, &service)?;
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(store::version(&mut transaction, &service, number).await?))
}

/// Takes an earlier version back, by a new version with its value. That has to fit the service's schema as it is today.
#[utoipa::path(post, path = "/settings/{service}/rollback", params(IfMatch), request_body = Wanted, responses((status = 200, body = Setting), (status = 404), (status = 412), (status = 422, body = Problem), (status = 503)))]
async fn rollback(
    caller: Caller,
    State(app): State<App>,
    Extension(schemas): Extension<Schemas>,
    Path(service): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    entitled(&caller, &service)?;
    let Version { number, value, .. } = {
        let mut transaction = caller.begin(&app).await?;
        store::version(&mut transaction, &service, wanted.version).await?
    };
    schemas.of(&app, &service).await?.check(&service, &value)?;
    Ok(answer(change(&caller, &app, &headers, &service, Change::Rollback(number, value)).await?))
}
