//! Loyalty cards: a point for each whole unit of the currency. A module that is entitled by itself.

use axum::extract::State;
use easycode_kit::{Amount, App, Caller, Json, Path, Problem, TenantTransaction};
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The module.
pub(crate) const MODULE: &str = "loyalty";

/// A card.
#[derive(Serialize, ToSchema)]
pub struct Card {
    /// Its number.
    pub card: String,
    /// Its points.
    pub points: i64,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The points of a card; one that was never shown has none.
#[utoipa::path(get, path = "/{card}", tag = "loyalty", responses((status = 200, body = Card), (status = 403)))]
async fn read(caller: Caller, State(app): State<App>, Path(card): Path<String>) -> Result<Json<Card>, Problem> {
    caller.require_module(&app.config.service, MODULE)?;
    let mut transaction = caller.begin(&app).await?;
    let points = sqlx::query_scalar("SELECT points FROM loyalty WHERE card = $1");
    let points: Option<i64> = points.bind(&card).fetch_optional(&mut *transaction).await?;
    Ok(Json(Card { card, points: points.unwrap_or_default() }))
}

/// Adds the points of a sale.
pub(crate) async fn add(transaction: &mut TenantTransaction, card: &str, total: Amount) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO loyalty VALUES ($1, $2) ON CONFLICT (card) DO UPDATE SET points = loyalty.points + excluded.points",
    )
    .bind(card)
    .bind(points(total))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Takes the points of a sale back.
pub(crate) async fn remove(transaction: &mut TenantTransaction, card: &str, total: Amount) -> Result<(), Problem> {
    sqlx::query("UPDATE loyalty SET points = greatest(points - $2, 0) WHERE card = $1")
        .bind(card)
        .bind(points(total))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn points(total: Amount) -> i64 {
    total.exact().trunc().to_i64().unwrap_or_default()
}
