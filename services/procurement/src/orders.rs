//! Purchase orders: what was approved, at a supplier.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Quantity, Query, TenantTransaction,
    page::{Page, PageQuery},
    record::untouched,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{BUYER, requisitions};

/// A purchase order.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// The requisition that was approved.
    pub requisition_id: Uuid,
    /// The supplier.
    pub supplier_id: Uuid,
    /// Its currency.
    pub currency: Currency,
    /// Who ordered.
    pub ordered_by: String,
    /// Whether all of it was received.
    pub received: bool,
    /// What is ordered; not in lists.
    #[sqlx(skip)]
    pub lines: Vec<OrderLine>,
}

/// A line of an order.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    /// Its number, from 1.
    pub position: i32,
    /// The item in Inventory.
    pub sku: Option<String>,
    /// What it is.
    pub description: String,
    /// How much was ordered.
    pub quantity: Quantity,
    /// What one of it costs.
    pub unit_price: Amount,
    /// How much of it was received.
    pub received: Quantity,
}

impl OrderLine {
    /// What so much of it costs that comes beside what was received: in parts, all together exactly what was ordered.
    pub(crate) fn worth_beside_received(&self, quantity: Quantity) -> Amount {
        let (before, price) = (self.received.exact(), self.unit_price.exact());
        Amount::rounded((before + quantity.exact()) * price) - Amount::rounded(before * price)
    }
}

/// What is to be ordered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OrderInput {
    /// The requisition, which must be approved.
    requisition_id: Uuid,
    /// The supplier.
    supplier_id: Uuid,
}

const FIELDS: &str = "id, requisition_id, supplier_id, currency::text AS currency, ordered_by,
    NOT EXISTS (SELECT FROM order_line l WHERE l.order_id = id AND l.received < l.quantity) AS received FROM purchase_order";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read))
}

/// A page of orders, oldest first, without their lines.
#[utoipa::path(get, path = "/", tag = "orders", params(PageQuery), responses((status = 200, body = Page<Order>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Order>>, Problem> {
    Ok(Json(page.read(&caller, &app, FIELDS, "id", |one: &Order| one.id).await?))
}

/// One order.
#[utoipa::path(get, path = "/{id}", tag = "orders", responses((status = 200, body = Order), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Order>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Orders what a requisition asks for, which can be done once.
#[utoipa::path(post, path = "/", tag = "orders", request_body = OrderInput, responses((status = 201, body = Order), (status = 404), (status = 409)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<OrderInput>,
) -> Result<(StatusCode, Json<Order>), Problem> {
    caller.require_role(BUYER)?;
    let mut transaction = caller.begin(&app).await?;
    let (status, _) = requisitions::locked(&mut transaction, input.requisition_id).await?;
    if status != "Approved" {
        return Err(Problem::conflict(format!("requisitionId: it is {status}; only what is approved can be ordered")));
    }
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO purchase_order (id, requisition_id, supplier_id, currency, ordered_by)
         SELECT $1, id, $3, currency, $4 FROM requisition WHERE id = $2",
    )
    .bind(id)
    .bind(input.requisition_id)
    .bind(input.supplier_id)
    .bind(&caller.subject)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO order_line (order_id, position, sku, description, quantity, unit_price)
         SELECT $1, position, sku, description, quantity, unit_price FROM requisition_line WHERE requisition_id = $2",
    )
    .bind(id)
    .bind(input.requisition_id)
    .execute(&mut *transaction)
    .await?;
    requisitions::set_status(&mut transaction, input.requisition_id, "Ordered").await?;
    let order = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(order)))
}

pub(crate) async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Order, Problem> {
    let query = format!("SELECT {FIELDS} WHERE id = $1");
    let found: Option<Order> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut **transaction).await?;
    let mut order = found.ok_or_else(|| untouched(false, "order"))?;
    order.lines = sqlx::query_as(
        "SELECT position, sku, description, quantity, unit_price, received FROM order_line WHERE order_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    Ok(order)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_comes_in_parts_costs_what_was_ordered() {
        let amount = |text: &str| from_value::<Amount>(json!(text)).unwrap();
        let quantity = |text: &str| from_value::<Quantity>(json!(text)).unwrap();
        for (price, parts, worths) in [
            ("3.33", &["0.5", "0.5"][..], &["1.67", "1.66"][..]),
            ("10.00", &["0.333", "0.333", "0.334"], &["3.33", "3.33", "3.34"]),
            ("0.01", &["0.5", "0.25", "0.25"], &["0.01", "0.00", "0.00"]),
            ("1.25", &["60", "40"], &["75.00", "50.00"]),
        ] {
            let mut line = OrderLine {
                position: 1,
                sku: None,
                description: "Bolt".to_owned(),
                quantity: quantity("100"),
                unit_price: amount(price),
                received: Quantity::default(),
            };
            for (part, worth) in parts.iter().zip(worths) {
                let part = quantity(part);
                assert_eq!(line.worth_beside_received(part), amount(worth), "{part} at {price}");
                line.received = quantity(&(line.received.exact() + part.exact()).to_string());
            }
        }
    }
}
