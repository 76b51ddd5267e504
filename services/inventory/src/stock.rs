//! What is there, and what it is worth: first in, first out.

use axum::extract::State;
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Problem, Quantity, Query, TenantTransaction,
    page::{Page, PageQuery},
    record::untouched,
};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::shortfall::Shortfall;

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
    /// What it is worth, by first in, first out; less than nothing while less than nothing is there.
    pub value: Amount,
    /// What that is in; absent until a receipt named a currency.
    pub currency: Option<Currency>,
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
    let select = "i.sku, s.warehouse, s.quantity, s.reserved, i.currency::text AS currency,
                coalesce((SELECT sum(value) FROM layer l WHERE l.item_id = s.item_id AND l.warehouse = s.warehouse), 0)
                    - s.short_value AS value
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
    currency: Option<String>,
    available: Decimal,
    short_value: Amount,
    may_be_negative: bool,
}

/// Goods of one cost, on their way in or out.
pub(crate) struct Goods {
    pub(crate) quantity: Decimal,
    /// What all of it is worth, which is what counts.
    pub(crate) worth: Amount,
    /// What one of it cost, be it rounded: what goes out before it is there is counted at that.
    pub(crate) unit_cost: Decimal,
    pub(crate) lot: Option<String>,
}

/// Sees to it that the item has a currency for its costs, before it is locked.
pub(crate) async fn has_costs_in(
    transaction: &mut TenantTransaction,
    sku: &str,
    currency: &Currency,
) -> Result<(), Problem> {
    let first = sqlx::query("UPDATE item SET currency = $2 WHERE sku = $1 AND currency IS NULL");
    first.bind(sku).bind(currency).execute(&mut **transaction).await?;
    Ok(())
}

impl Place {
    pub(crate) async fn lock(transaction: &mut TenantTransaction, sku: &str, warehouse: &str) -> Result<Self, Problem> {
        let item: Option<(Uuid, bool, Option<String>)> =
            sqlx::query_as("SELECT id, allow_negative, currency::text FROM item WHERE sku = $1 FOR SHARE")
                .bind(sku)
                .fetch_optional(&mut **transaction)
                .await?;
        let (item, may_be_negative, currency) =
            item.ok_or_else(|| Problem::invalid(format!("sku: there is no item {sku}")))?;
        // The update locks the row, whether it was there or not.
        let (quantity, reserved, last_cost, short_value): (Decimal, Decimal, Decimal, Amount) = sqlx::query_as(
            "INSERT INTO stock (item_id, warehouse, may_be_negative) VALUES ($1, $2, $3)
             ON CONFLICT (item_id, warehouse) DO UPDATE SET may_be_negative = excluded.may_be_negative
             RETURNING quantity, reserved, last_cost, short_value",
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
            currency,
            available: quantity - reserved,
            short_value,
            may_be_negative,
        })
    }

    /// Refuses costs in another currency than the item's: what is there could not be added up any more.
    pub(crate) fn counts_in(&self, currency: &Currency) -> Result<(), Problem> {
        match &self.currency {
            Some(own) if own != currency.as_str() => Err(Problem::conflict(format!(
                "currency: the costs of {} are in {own}; say in {own} what this cost, or receive it as another item",
                self.sku
            ))),
            _ => Ok(()),
        }
    }

    /// Takes goods in. What went out before it was there is settled first; returns what that cost more than it was counted at.
    pub(crate) async fn take_in(
        &mut self,
        transaction: &mut TenantTransaction,
        goods: &Goods,
    ) -> Result<Amount, Problem> {
        let settled = Shortfall::of(self.quantity, self.short_value).settle(goods.quantity, goods.worth);
        sqlx::query(
            "UPDATE stock SET quantity = quantity + $3, last_cost = $4, short_value = $5
             WHERE item_id = $1 AND warehouse = $2",
        )
        .bind(self.item)
        .bind(&self.warehouse)
        .bind(goods.quantity)
        .bind(goods.unit_cost)
        .bind(settled.short_value)
        .execute(&mut **transaction)
        .await?;
        self.quantity += goods.quantity;
        self.short_value = settled.short_value;
        let (stays, worth) = settled.stays;
        if stays > Decimal::ZERO {
            sqlx::query(
                "INSERT INTO layer (id, item_id, warehouse, remaining, unit_cost, lot, value)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(Uuid::now_v7())
            .bind(self.item)
            .bind(&self.warehouse)
            .bind(stays)
            .bind(goods.unit_cost)
            .bind(&goods.lot)
            .bind(worth)
            .execute(&mut **transaction)
            .await?;
        }
        Ok(settled.variance)
    }

    /// Takes goods out, the oldest first, and returns what they were worth and of which parts they were. What is not there,
    /// where that is allowed, counts at what it cost last.
    pub(crate) async fn take_out(
        &mut self,
        transaction: &mut TenantTransaction,
        quantity: Decimal,
        lot: Option<&str>,
    ) -> Result<(Amount, Vec<Goods>), Problem> {
        let short = |there: Decimal| {
            let (sku, warehouse, there) = (&self.sku, &self.warehouse, there.normalize());
            let of = lot.map(|lot| format!(" of lot {lot}")).unwrap_or_default();
            Problem::conflict(format!(
                "{sku}: only {there}{of} can be taken from {warehouse}, and {quantity} are asked for"
            ))
        };
        let layers: Vec<(Uuid, Decimal, Amount, Decimal, Option<String>)> = sqlx::query_as(
            "SELECT id, remaining, value, unit_cost, lot FROM layer
             WHERE item_id = $1 AND warehouse = $2 AND ($3::text IS NULL OR lot = $3) ORDER BY id",
        )
        .bind(self.item)
        .bind(&self.warehouse)
        .bind(lot)
        .fetch_all(&mut **transaction)
        .await?;
        let mut missing = quantity;
        let (mut parts, mut emptied, mut opened) = (Vec::new(), Vec::new(), None);
        for (id, remaining, value, unit_cost, lot) in layers {
            let taken = remaining.min(missing);
            if taken.is_zero() {
                break;
            }
            missing -= taken;
            parts.push(Goods { quantity: taken, worth: value, unit_cost, lot });
            if taken == remaining { emptied.push(id) } else { opened = Some((id, remaining - taken)) }
        }
        let mut short_value = self.short_value;
        if missing > Decimal::ZERO {
            if lot.is_some() || !self.may_be_negative {
                return Err(short((quantity - missing).min(self.available)));
            }
            let worth = Amount::rounded(missing * self.last_cost);
            short_value = short_value + worth;
            parts.push(Goods { quantity: missing, worth, unit_cost: self.last_cost, lot: None });
        }
        sqlx::query("DELETE FROM layer WHERE id = ANY($1)").bind(emptied).execute(&mut **transaction).await?;
        if let Some((id, remaining)) = opened {
            let shrunk = sqlx::query_scalar("UPDATE layer SET remaining = $2 WHERE id = $1 RETURNING value");
            let left: Amount = shrunk.bind(id).bind(remaining).fetch_one(&mut **transaction).await?;
            // It was the last that anything was taken of.
            if let Some(part) = parts.last_mut() {
                part.worth = part.worth - left;
            }
        }
        let taken = sqlx::query(
            "UPDATE stock SET quantity = quantity - $3, short_value = $4 WHERE item_id = $1 AND warehouse = $2",
        );
        let taken = taken.bind(self.item).bind(&self.warehouse).bind(quantity).bind(short_value);
        taken.execute(&mut **transaction).await.map_err(|error| match Problem::from(error) {
            problem if problem.status == 422 => short(self.available.max(Decimal::ZERO)),
            problem => problem,
        })?;
        self.quantity -= quantity;
        self.short_value = short_value;
        Ok((parts.iter().map(|part| part.worth).sum(), parts))
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
