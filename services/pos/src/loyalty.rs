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

/// Takes points of a sale back, of which so much was paid for before and is now.
pub(crate) async fn remove(
    transaction: &mut TenantTransaction,
    card: &str,
    before: Amount,
    now: Amount,
) -> Result<(), Problem> {
    sqlx::query("UPDATE loyalty SET points = greatest(points - $2, 0) WHERE card = $1")
        .bind(card)
        .bind(lost(before, now))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The points that go: in parts, however small, as many as there were for all of it.
fn lost(before: Amount, now: Amount) -> i64 {
    points(before) - points(now)
}

fn points(total: Amount) -> i64 {
    total.exact().trunc().to_i64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_in_parts_takes_all_points_back() {
        // 10.70 in twelve parts, most of them worth less than a point by itself.
        let amount = |cents: i64| Amount::rounded(rust_decimal::Decimal::new(cents, 2));
        let parts = (1..=11).map(|part| lost(amount(1070 - (part - 1) * 90), amount(1070 - part * 90)));
        assert_eq!(parts.sum::<i64>() + lost(amount(80), Amount::ZERO), 10);
        assert_eq!(lost(amount(1070), amount(1000)), 0);
        assert_eq!(lost(amount(1000), amount(999)), 1);
    }
}
