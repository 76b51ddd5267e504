//! Items.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    App, Caller, Currency, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::MANAGER;

const FIELDS: &str = "id, sku, name, unit, allow_negative, currency::text AS currency, version";

/// An item.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its id.
    pub id: Uuid,
    /// What it is called by in moves, such as `BOLT-M8`.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What it is counted in.
    pub unit: String,
    /// Whether more may go out than is there.
    pub allow_negative: bool,
    /// What its costs are in, as the first receipt that named a currency said; absent until then.
    pub currency: Option<Currency>,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of an item.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ItemInput {
    /// What it is called by in moves, such as `BOLT-M8`.
    sku: String,
    /// Its name.
    name: String,
    /// What it is counted in; `piece` without it.
    unit: Option<String>,
    /// Whether more may go out than is there.
    #[serde(default)]
    allow_negative: bool,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace))
}

/// A page of items, oldest first.
#[utoipa::path(get, path = "/", tag = "items", params(PageQuery), responses((status = 200, body = Page<Item>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Item>>, Problem> {
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} FROM item"), "id", |one: &Item| one.id).await?))
}

/// Makes an item.
#[utoipa::path(post, path = "/", tag = "items", request_body = ItemInput, responses((status = 201, body = Item), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<ItemInput>,
) -> Result<(StatusCode, Json<Item>), Problem> {
    caller.require_role(MANAGER)?;
    let query = format!(
        "INSERT INTO item (id, sku, name, unit, allow_negative) VALUES ($1, $2, $3, coalesce($4, 'piece'), $5) RETURNING {FIELDS}"
    );
    let mut transaction = caller.begin(&app).await?;
    let item = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(Uuid::now_v7())
        .bind(input.sku)
        .bind(input.name)
        .bind(input.unit)
        .bind(input.allow_negative)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(item)))
}

/// One item.
#[utoipa::path(get, path = "/{id}", tag = "items", responses((status = 200, body = Item), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Item>, Problem> {
    let query = format!("SELECT {FIELDS} FROM item WHERE id = $1");
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *transaction).await?;
    found.map(Json).ok_or_else(|| untouched(false, "item"))
}

/// Replaces an item, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "items", params(IfMatch), request_body = ItemInput, responses((status = 200, body = Item), (status = 404), (status = 409), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<ItemInput>,
) -> Result<Json<Item>, Problem> {
    caller.require_role(MANAGER)?;
    let expected = expected_version(&headers)?;
    let query = format!(
        "UPDATE item SET sku = $2, name = $3, unit = coalesce($4, 'piece'), allow_negative = $5, version = version + 1
         WHERE id = $1 AND version = coalesce($6, version) RETURNING {FIELDS}"
    );
    let mut transaction = caller.begin(&app).await?;
    let changed: Option<Item> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(input.sku)
        .bind(input.name)
        .bind(input.unit)
        .bind(input.allow_negative)
        .bind(expected)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(changed) = changed else {
        let exists = sqlx::query("SELECT FROM item WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
        return Err(untouched(exists.is_some(), "item"));
    };
    // Refused by the stock's own constraint while there is less than nothing.
    let bound =
        sqlx::query("UPDATE stock SET may_be_negative = $2 WHERE item_id = $1").bind(id).bind(input.allow_negative);
    bound.execute(&mut *transaction).await.map_err(|error| match Problem::from(error) {
        problem if problem.status == 422 => {
            Problem::conflict("allowNegative: there is less than nothing in stock; correct that first")
        }
        problem => problem,
    })?;
    transaction.commit().await?;
    Ok(Json(changed))
}
