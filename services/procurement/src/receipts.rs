//! Receiving: what came of an order. Inventory takes the goods in and Finance what is owed, as far as the tenant has them.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    App, Caller, Json, Path, Problem, Quantity, RequestKey, TenantTransaction,
    date::Date,
    outbox::{self, Delivery},
    record::{self, untouched},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    BUYER,
    orders::{self, Order},
    telling::{self, Came},
};

/// What came.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Its id.
    pub id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// Whether the other services have been told.
    pub deliveries: Vec<Delivery>,
}

/// What came of an order.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceiptInput {
    /// How much came of which lines.
    lines: Vec<ReceivedLine>,
}

/// What came of one line.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceivedLine {
    /// Number of the order's line.
    position: i32,
    /// How much came.
    quantity: Quantity,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(receive)).routes(routes!(read)).routes(routes!(deliver)).merge(outbox::routes())
}

/// Receives goods of an order, not more than was ordered. `Idempotency-Key` is needed: goods come in once by one key, however often it
/// is sent. Items of Inventory need Inventory.
#[utoipa::path(post, path = "/orders/{id}/receipts", tag = "receipts", params(RequestKey), request_body = ReceiptInput, responses((status = 200, body = Receipt, description = "It was done before, by the same key."), (status = 201, body = Receipt), (status = 403), (status = 404), (status = 409)))]
async fn receive(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    key: RequestKey,
    Json(input): Json<ReceiptInput>,
) -> Result<(StatusCode, Json<Receipt>), Problem> {
    caller.require_role(BUYER)?;
    let key = key.0.ok_or_else(|| Problem::invalid("Idempotency-Key: is needed, such as a UUID for each receipt"))?;
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("SELECT FROM purchase_order WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *transaction).await?;
    let order = orders::find(&mut transaction, id).await?;
    // Under the lock, so that of two at once the second finds the first.
    let fingerprint = record::fingerprint(&(id, &input));
    let before: Option<(Uuid, String)> = sqlx::query_as("SELECT id, fingerprint FROM receipt WHERE request_key = $1")
        .bind(&key)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some((before, known)) = before {
        drop(transaction);
        RequestKey::same(Some(&known), &fingerprint)?;
        telling::tell(&app, &caller, Some(before)).await?;
        return Ok((StatusCode::OK, Json(find(&mut caller.begin(&app).await?, before).await?)));
    }
    let receipt = write(&mut transaction, &caller, &order, (&key, &fingerprint), &input.lines).await?;
    transaction.commit().await?;
    telling::tell(&app, &caller, Some(receipt)).await?;
    Ok((StatusCode::CREATED, Json(find(&mut caller.begin(&app).await?, receipt).await?)))
}

/// Writes the receipt, and what others have to be told.
async fn write(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    order: &Order,
    (key, fingerprint): (&str, &str),
    lines: &[ReceivedLine],
) -> Result<Uuid, Problem> {
    if lines.is_empty() {
        return Err(Problem::invalid("lines: there must be one at least"));
    }
    let id = Uuid::now_v7();
    let day: Date = sqlx::query_scalar(
        "INSERT INTO receipt (id, order_id, request_key, received_by, fingerprint) VALUES ($1, $2, $3, $4, $5)
         RETURNING (received_at AT TIME ZONE 'UTC')::date",
    )
    .bind(id)
    .bind(order.id)
    .bind(key)
    .bind(&caller.subject)
    .bind(fingerprint)
    .fetch_one(&mut **transaction)
    .await?;
    let mut came = Came::default();
    for line in lines {
        let position = line.position;
        let ordered = order.lines.iter().find(|one| one.position == position);
        let ordered = ordered.ok_or_else(|| Problem::invalid(format!("lines: the order has no line {position}")))?;
        let open = ordered.quantity.exact() - ordered.received.exact();
        if line.quantity.exact() > open {
            let open = open.normalize();
            return Err(Problem::conflict(format!("line {position}: {open} are still to come, not {}", line.quantity)));
        }
        sqlx::query("INSERT INTO receipt_line VALUES ($1, $2, $3)")
            .bind(id)
            .bind(position)
            .bind(line.quantity)
            .execute(&mut **transaction)
            .await
            .map_err(|error| match Problem::from(error) {
                problem if problem.status == 409 => Problem::invalid(format!("lines: line {position} is named twice")),
                problem => problem,
            })?;
        sqlx::query("UPDATE order_line SET received = received + $3 WHERE order_id = $1 AND position = $2")
            .bind(order.id)
            .bind(position)
            .bind(line.quantity)
            .execute(&mut **transaction)
            .await?;
        let worth = ordered.worth_beside_received(line.quantity);
        match &ordered.sku {
            Some(sku) => {
                // What all of it costs, so that the stock is worth what is owed for it.
                came.goods.push(json!({ "sku": sku, "quantity": line.quantity, "cost": worth }));
                came.stocked = came.stocked + worth;
            }
            None => came.spent = came.spent + worth,
        }
    }
    telling::of_receipt(transaction, caller, (id, day), order, came).await?;
    Ok(id)
}

/// One receipt.
#[utoipa::path(get, path = "/receipts/{id}", tag = "receipts", responses((status = 200, body = Receipt), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Receipt>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Tells other services what they were not told yet.
#[utoipa::path(post, path = "/deliveries", tag = "deliveries", responses((status = 204)))]
async fn deliver(caller: Caller, State(app): State<App>) -> Result<StatusCode, Problem> {
    caller.require_role(BUYER)?;
    telling::tell(&app, &caller, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Receipt, Problem> {
    let order = sqlx::query_scalar("SELECT order_id FROM receipt WHERE id = $1");
    let order = order.bind(id).fetch_optional(&mut **transaction).await?;
    let order_id = order.ok_or_else(|| untouched(false, "receipt"))?;
    Ok(Receipt { id, order_id, deliveries: outbox::about(transaction, id).await? })
}
