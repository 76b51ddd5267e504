//! What is there, and what it is worth: first in, first out.

use axum::extract::State;
use easycode_kit::{
    Amount, App, Caller, Json, Problem, Quantity, Query, TenantTransaction,
    page::{Page, PageQuery},
    record::untouched,
};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// What is there of an item in a warehouse.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Stock {
    /// The item.
    pub sku: String,
    /// The warehouse.
    pub warehouse: String,
    /// How much is there.
    pub quantity: Quantity,
    /// How much of it is kept back.
    pub reserved: Quantity,
    /// What it is worth, by first in, first out.
    pub value: Amount,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A page of what is there, by item and warehouse, and what it is worth.
#[utoipa::path(get, path = "/stock", tag = "stock", params(PageQuery), responses((status = 200, body = Page<Stock>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Stock>>, Problem> {
    let select = "i.sku, s.warehouse, s.quantity, s.reserved,
                coalesce((SELECT round(sum(remaining * unit_cost), 2) FROM layer l
                          WHERE l.item_id = s.item_id AND l.warehouse = s.warehouse), 0) AS value
         FROM stock s JOIN item i ON i.id = s.item_id";
    let keys = ["i.sku", "s.warehouse"];
    Ok(Json(page.read_by(&caller, &app, select, keys, |one: &Stock| [&one.sku, &one.warehouse]).await?))
}

/// An item in a warehouse, whose stock nobody else changes until the transaction ends.
pub(crate) struct Place {
    pub(crate) item: Uuid,
    pub(crate) warehouse: String,
    pub(crate) quantity: Decimal,
    pub(crate) last_cost: Decimal,
    sku: String,
    available: Decimal,
    may_be_negative: bool,
}

/// Goods that went out at one cost.
pub(crate) struct Part {
    pub(crate) quantity: Decimal,
    pub(crate) unit_cost: Decimal,
    pub(crate) lot: Option<String>,
}

impl Place {
    pub(crate) async fn lock(transaction: &mut TenantTransaction, sku: &str, warehouse: &str) -> Result<Self, Problem> {
        let item: Option<(Uuid, bool)> = sqlx::query_as("SELECT id, allow_negative FROM item WHERE sku = $1 FOR SHARE")
            .bind(sku)
            .fetch_optional(&mut **transaction)
            .await?;
        let (item, may_be_negative) = item.ok_or_else(|| Problem::invalid(format!("sku: there is no item {sku}")))?;
        // The update locks the row, whether it was there or not.
        let (quantity, reserved, last_cost): (Decimal, Decimal, Decimal) = sqlx::query_as(
            "INSERT INTO stock (item_id, warehouse, may_be_negative) VALUES ($1, $2, $3)
             ON CONFLICT (item_id, warehouse) DO UPDATE SET may_be_negative = excluded.may_be_negative
             RETURNING quantity, reserved, last_cost",
        )
        .bind(item)
        .bind(warehouse)
        .bind(may_be_negative)
        .fetch_one(&mut **transaction)
        .await
        .map_err(|error| match Problem::from(error) {
            problem if problem.status == 422 => {
                Problem::invalid(format!("warehouse: there is no warehouse {warehouse}"))
            }
            problem => problem,
        })?;
        Ok(Self {
            item,
            warehouse: warehouse.to_owned(),
            sku: sku.to_owned(),
            quantity,
            last_cost,
            available: quantity - reserved,
            may_be_negative,
        })
    }

    /// Takes goods in. What went out before it was there is settled first.
    pub(crate) async fn take_in(
        &self,
        transaction: &mut TenantTransaction,
        quantity: Decimal,
        unit_cost: Decimal,
        lot: Option<&str>,
    ) -> Result<(), Problem> {
        let (before,): (Decimal,) = sqlx::query_as(
            "UPDATE stock SET quantity = quantity + $3, last_cost = $4 WHERE item_id = $1 AND warehouse = $2
             RETURNING quantity - $3",
        )
        .bind(self.item)
        .bind(&self.warehouse)
        .bind(quantity)
        .bind(unit_cost)
        .fetch_one(&mut **transaction)
        .await?;
        let stays = quantity + before.min(Decimal::ZERO);
        if stays > Decimal::ZERO {
            sqlx::query("INSERT INTO layer VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(Uuid::now_v7())
                .bind(self.item)
                .bind(&self.warehouse)
                .bind(stays)
                .bind(unit_cost)
                .bind(lot)
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }

    /// Takes goods out, the oldest first, and returns what they were worth and of which parts they were. What is not there,
    /// where that is allowed, counts at what it cost last.
    pub(crate) async fn take_out(
        &self,
        transaction: &mut TenantTransaction,
        quantity: Decimal,
        lot: Option<&str>,
    ) -> Result<(Decimal, Vec<Part>), Problem> {
        let short = |there: Decimal| {
            let (sku, warehouse, there) = (&self.sku, &self.warehouse, there.normalize());
            let of = lot.map(|lot| format!(" of lot {lot}")).unwrap_or_default();
            Problem::conflict(format!(
                "{sku}: only {there}{of} can be taken from {warehouse}, and {quantity} are asked for"
            ))
        };
        let layers: Vec<(Uuid, Decimal, Decimal, Option<String>)> = sqlx::query_as(
            "SELECT id, remaining, unit_cost, lot FROM layer
             WHERE item_id = $1 AND warehouse = $2 AND ($3::text IS NULL OR lot = $3) ORDER BY id",
        )
        .bind(self.item)
        .bind(&self.warehouse)
        .bind(lot)
        .fetch_all(&mut **transaction)
        .await?;
        let mut missing = quantity;
        let (mut parts, mut emptied, mut opened) = (Vec::new(), Vec::new(), None);
        for (id, remaining, unit_cost, lot) in layers {
            let taken = remaining.min(missing);
            if taken.is_zero() {
                break;
            }
            missing -= taken;
            parts.push(Part { quantity: taken, unit_cost, lot });
            if taken == remaining { emptied.push(id) } else { opened = Some((id, remaining - taken)) }
        }
        if missing > Decimal::ZERO {
            if lot.is_some() || !self.may_be_negative {
                return Err(short((quantity - missing).min(self.available)));
            }
            parts.push(Part { quantity: missing, unit_cost: self.last_cost, lot: None });
        }
        sqlx::query("DELETE FROM layer WHERE id = ANY($1)").bind(emptied).execute(&mut **transaction).await?;
        if let Some((id, remaining)) = opened {
            let shrunk = sqlx::query("UPDATE layer SET remaining = $2 WHERE id = $1").bind(id).bind(remaining);
            shrunk.execute(&mut **transaction).await?;
        }
        let taken = sqlx::query("UPDATE stock SET quantity = quantity - $3 WHERE item_id = $1 AND warehouse = $2");
        let taken = taken.bind(self.item).bind(&self.warehouse).bind(quantity).execute(&mut **transaction).await;
        taken.map_err(|error| match Problem::from(error) {
            problem if problem.status == 422 => short(self.available.max(Decimal::ZERO)),
            problem => problem,
        })?;
        Ok((parts.iter().map(|part| part.quantity * part.unit_cost).sum(), parts))
    }
}

/// Goods that are kept back, and stay so until the transaction ends.
pub(crate) struct Kept {
    pub(crate) sku: String,
    pub(crate) warehouse: String,
    id: Uuid,
    item: Uuid,
    quantity: Decimal,
}

/// The reservation of the id, if it was not ended.
pub(crate) async fn reserved(transaction: &mut TenantTransaction, id: Uuid) -> Result<Kept, Problem> {
    let found: Option<(String, Uuid, String, Decimal)> = sqlx::query_as(
        "SELECT i.sku, r.item_id, r.warehouse, r.quantity FROM reservation r JOIN item i ON i.id = r.item_id
         WHERE r.id = $1 AND NOT ended FOR UPDATE OF r",
    )
    .bind(id)
    .fetch_optional(&mut **transaction)
    .await?;
    let (sku, item, warehouse, quantity) = found.ok_or_else(|| untouched(false, "reservation"))?;
    Ok(Kept { sku, warehouse, id, item, quantity })
}

impl Kept {
    /// Ends the reservation: what it kept back is free.
    pub(crate) async fn end(self, transaction: &mut TenantTransaction) -> Result<(), Problem> {
        sqlx::query("UPDATE reservation SET ended = true WHERE id = $1")
            .bind(self.id)
            .execute(&mut **transaction)
            .await?;
        sqlx::query("UPDATE stock SET reserved = reserved - $3 WHERE item_id = $1 AND warehouse = $2")
            .bind(self.item)
            .bind(self.warehouse)
            .bind(self.quantity)
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}
