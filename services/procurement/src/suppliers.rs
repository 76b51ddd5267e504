//! Suppliers.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    App, Caller, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::BUYER;

/// A supplier.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Supplier {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Where orders are sent.
    pub email: Option<String>,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of a supplier.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SupplierInput {
    /// Its name.
    name: String,
    /// Where orders are sent.
    email: Option<String>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace))
}

/// A page of suppliers, oldest first.
#[utoipa::path(get, path = "/", tag = "suppliers", params(PageQuery), responses((status = 200, body = Page<Supplier>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Supplier>>, Problem> {
    let select = "id, name, email, version FROM supplier";
    Ok(Json(page.read(&caller, &app, select, "id", |one: &Supplier| one.id).await?))
}

/// Adds a supplier.
#[utoipa::path(post, path = "/", tag = "suppliers", request_body = SupplierInput, responses((status = 201, body = Supplier), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<SupplierInput>,
) -> Result<(StatusCode, Json<Supplier>), Problem> {
    caller.require_role(BUYER)?;
    let mut transaction = caller.begin(&app).await?;
    let made =
        sqlx::query_as("INSERT INTO supplier (id, name, email) VALUES ($1, $2, $3) RETURNING id, name, email, version")
            .bind(Uuid::now_v7())
            .bind(input.name)
            .bind(input.email)
            .fetch_one(&mut *transaction)
            .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// One supplier.
#[utoipa::path(get, path = "/{id}", tag = "suppliers", responses((status = 200, body = Supplier), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Supplier>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as("SELECT id, name, email, version FROM supplier WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    found.map(Json).ok_or_else(|| untouched(false, "supplier"))
}

/// Replaces a supplier, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "suppliers", params(IfMatch), request_body = SupplierInput, responses((status = 200, body = Supplier), (status = 404), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<SupplierInput>,
) -> Result<Json<Supplier>, Problem> {
    caller.require_role(BUYER)?;
    let expected = expected_version(&headers)?;
    let mut transaction = caller.begin(&app).await?;
    let changed: Option<Supplier> = sqlx::query_as(
        "UPDATE supplier SET name = $2, email = $3, version = version + 1
         WHERE id = $1 AND version = coalesce($4, version) RETURNING id, name, email, version",
    )
    .bind(id)
    .bind(input.name)
    .bind(input.email)
    .bind(expected)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(changed) = changed else {
        let exists =
            sqlx::query("SELECT FROM supplier WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
        return Err(untouched(exists.is_some(), "supplier"));
    };
    transaction.commit().await?;
    Ok(Json(changed))
}
