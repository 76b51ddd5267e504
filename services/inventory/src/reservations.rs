//! Goods that are kept back for someone.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    App, Caller, Json, Path, Problem, Quantity, Query, RequestKey,
    page::{Page, PageQuery},
    record,
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    MANAGER, MOVER, WAREHOUSING,
    moves::MAIN,
    stock::{self, Place},
};

const FIELDS: &str =
    "r.id, i.sku, r.warehouse, r.quantity, r.reference FROM reservation r JOIN item i ON i.id = r.item_id";

/// A reservation.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Reservation {
    /// Its id.
    pub id: Uuid,
    /// The item.
    pub sku: String,
    /// The warehouse.
    pub warehouse: String,
    /// How much is kept back.
    pub quantity: Quantity,
    /// For what.
    pub reference: Option<String>,
}

/// What is to be kept back.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReservationInput {
    /// The item.
    sku: String,
    /// The warehouse; `MAIN` without it.
    warehouse: Option<String>,
    /// How much.
    quantity: Quantity,
    /// For what.
    reference: Option<String>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(end))
}

/// A page of reservations, oldest first.
#[utoipa::path(get, path = "/", tag = "reservations", params(PageQuery), responses((status = 200, body = Page<Reservation>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Reservation>>, Problem> {
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} AND NOT ended"), "r.id", |one: &Reservation| one.id).await?))
}

/// Keeps goods back, of those that are there and free. Sent again with the same `Idempotency-Key`, they are kept back once.
#[utoipa::path(post, path = "/", tag = "reservations", params(RequestKey), request_body = ReservationInput, responses((status = 200, body = Reservation, description = "It was done before, by the same key."), (status = 201, body = Reservation), (status = 409), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    key: RequestKey,
    Json(input): Json<ReservationInput>,
) -> Result<(StatusCode, Json<Reservation>), Problem> {
    caller.require_any_role(&[MOVER, MANAGER])?;
    let warehouse = input.warehouse.as_deref().unwrap_or(MAIN);
    if warehouse != MAIN {
        caller.require_module(&app.config.service, WAREHOUSING)?;
    }
    let mut transaction = caller.begin(&app).await?;
    let place = Place::lock(&mut transaction, &input.sku, warehouse).await?;
    // Under the lock, so that of two at once the second finds the first.
    let fingerprint = record::fingerprint(&input);
    let query = format!("SELECT r.fingerprint, {FIELDS} WHERE r.request_key = $1");
    let before = sqlx::query(sqlx::AssertSqlSafe(query)).bind(&key.0).fetch_optional(&mut *transaction).await?;
    if let Some(before) = before {
        let known: Option<String> = before.try_get("fingerprint")?;
        RequestKey::same(known.as_deref(), &fingerprint)?;
        return Ok((StatusCode::OK, Json(Reservation::from_row(&before)?)));
    }
    let kept = sqlx::query(
        "UPDATE stock SET reserved = reserved + $3 WHERE item_id = $1 AND warehouse = $2 AND quantity - reserved >= $3",
    );
    let kept = kept.bind(place.item).bind(warehouse).bind(input.quantity);
    if kept.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(Problem::conflict(format!("quantity: less than {} are there and free", input.quantity)));
    }
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO reservation VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(id)
        .bind(place.item)
        .bind(warehouse)
        .bind(input.quantity)
        .bind(&input.reference)
        .bind(&key.0)
        .bind(fingerprint)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let warehouse = warehouse.to_owned();
    let made = Reservation { id, sku: input.sku, warehouse, quantity: input.quantity, reference: input.reference };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Ends a reservation: the goods are free again.
#[utoipa::path(delete, path = "/{id}", tag = "reservations", responses((status = 204), (status = 404)))]
async fn end(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.require_any_role(&[MOVER, MANAGER])?;
    let mut transaction = caller.begin(&app).await?;
    let kept = stock::reserved(&mut transaction, id).await?;
    Place::lock(&mut transaction, &kept.sku, &kept.warehouse).await?;
    kept.end(&mut transaction).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
