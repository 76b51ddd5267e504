//! Warehouses. One is there from the beginning; more are a module.

use axum::extract::State;
use easycode_kit::{
    App, Caller, Json, Path, Problem, Query,
    page::{Page, PageQuery},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{MANAGER, WAREHOUSING};

/// A warehouse.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Warehouse {
    /// What it is called by in moves, such as `MAIN`.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// What a caller says of a warehouse.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WarehouseInput {
    /// Its name.
    name: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put))
}

/// A page of warehouses, by code.
#[utoipa::path(get, path = "/", tag = "warehouses", params(PageQuery), responses((status = 200, body = Page<Warehouse>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Warehouse>>, Problem> {
    let select = "code, name FROM warehouse";
    Ok(Json(page.read_by(&caller, &app, select, ["code"], |one: &Warehouse| [&one.code]).await?))
}

/// Makes a warehouse, or renames it.
#[utoipa::path(put, path = "/{code}", tag = "warehouses", request_body = WarehouseInput, responses((status = 200, body = Warehouse), (status = 403), (status = 422)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path(code): Path<String>,
    Json(input): Json<WarehouseInput>,
) -> Result<Json<Warehouse>, Problem> {
    caller.require_module(&app.config.service, WAREHOUSING)?;
    caller.require_role(MANAGER)?;
    let mut transaction = caller.begin(&app).await?;
    let warehouse = sqlx::query_as(
        "INSERT INTO warehouse VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET name = excluded.name RETURNING code, name",
    )
    .bind(code)
    .bind(input.name)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Json(warehouse))
}
