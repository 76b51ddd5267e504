//! Refunds: goods come back, and money is given back for them.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Json, Path, Problem, Quantity, TenantTransaction,
    outbox::{self, Delivery},
    record,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    MANAGER, loyalty, sales, shifts,
    telling::{self, Returned},
};

/// A refund.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// Its id, which the register gave it.
    pub id: Uuid,
    /// The sale.
    pub sale_id: Uuid,
    /// What was given back.
    pub amount: Amount,
    /// Whether other services have been told.
    pub deliveries: Vec<Delivery>,
}

/// What is given back.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RefundInput {
    /// The shift whose drawer it is paid from; must be open.
    shift_id: Uuid,
    /// How much of which lines comes back.
    lines: Vec<ReturnedLine>,
}

/// What comes back of one line.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReturnedLine {
    /// Number of the sale's line, from 1.
    position: i32,
    /// How much.
    quantity: Quantity,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put))
}

/// Gives money back for what comes back, not more than was sold. Sent again, a refund is answered with as it was made first.
#[utoipa::path(put, path = "/sales/{sale}/refunds/{id}", tag = "sales", request_body = RefundInput, responses((status = 200, body = Refund), (status = 201, body = Refund), (status = 404), (status = 409)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path((sale, id)): Path<(Uuid, Uuid)>,
    Json(input): Json<RefundInput>,
) -> Result<(StatusCode, Json<Refund>), Problem> {
    caller.require_role(MANAGER)?;
    let fingerprint = record::fingerprint(&(sale, &input));
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("SELECT FROM sale WHERE id = $1 FOR UPDATE").bind(sale).execute(&mut *transaction).await?;
    // Under the lock, so that of two at once the second finds the first.
    let before: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM refund WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    let status = match before {
        Some(before) if before != fingerprint => return Err(Problem::conflict("id: another refund has this id")),
        Some(_) => StatusCode::OK,
        None => {
            telling::may_tell(&caller, false)?;
            write(&mut transaction, &caller, (sale, id), &input, &fingerprint).await?;
            StatusCode::CREATED
        }
    };
    transaction.commit().await?;
    telling::tell(&app, &caller, Some(id)).await?;
    let mut transaction = caller.begin(&app).await?;
    let amount =
        sqlx::query_scalar("SELECT amount FROM refund WHERE id = $1").bind(id).fetch_one(&mut *transaction).await?;
    let deliveries = outbox::about(&mut transaction, id).await?;
    Ok((status, Json(Refund { id, sale_id: sale, amount, deliveries })))
}

async fn write(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    (sale, id): (Uuid, Uuid),
    input: &RefundInput,
    fingerprint: &str,
) -> Result<(), Problem> {
    let sold = sales::find(transaction, sale).await?;
    let currency = shifts::open_at(transaction, input.shift_id).await?;
    if currency != sold.currency.to_string() {
        return Err(Problem::conflict(format!(
            "shiftId: its drawer is in {currency}, the sale was in {}",
            sold.currency
        )));
    }
    let mut returned: Vec<Returned> = Vec::new();
    for line in &input.lines {
        let at = usize::try_from(line.position).ok().and_then(|position| position.checked_sub(1));
        let of = at.and_then(|at| sold.lines.get(at));
        let of = of.ok_or_else(|| Problem::invalid(format!("lines: the sale has no line {}", line.position)))?;
        let (before, quantity) = (of.refunded.exact(), line.quantity.exact());
        let left = of.quantity.exact() - before;
        if returned.iter().any(|known| std::ptr::eq(known.line, of)) || quantity > left {
            let left = left.normalize();
            return Err(Problem::conflict(format!(
                "line {}: {left} can come back at most, and in one line",
                line.position
            )));
        }
        sqlx::query("UPDATE sale_line SET refunded = refunded + $3 WHERE sale_id = $1 AND position = $2")
            .bind(sale)
            .bind(line.position)
            .bind(quantity)
            .execute(&mut **transaction)
            .await?;
        // In parts, however small, it comes to what was paid and no more.
        let (after, paid_back) = (of.worth(before + quantity), of.worth(before));
        returned.push(Returned { line: of, quantity, worth: (after.0 - paid_back.0, after.1 - paid_back.1) });
    }
    let amount: Amount = returned.iter().map(|one| one.worth.0).sum();
    if amount == Amount::ZERO {
        return Err(Problem::conflict("lines: nothing is to be given back"));
    }
    let made = sqlx::query(
        "INSERT INTO refund (id, sale_id, shift_id, amount, fingerprint, made_by)
         SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT FROM sale WHERE id = $1)",
    )
    .bind(id)
    .bind(sale)
    .bind(input.shift_id)
    .bind(amount)
    .bind(fingerprint)
    .bind(&caller.subject)
    .execute(&mut **transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Err(Problem::conflict("id: a sale has this id; give the refund its own"));
    }
    if let Some(card) = &sold.loyalty_card {
        let paid = sold.total - sold.lines.iter().map(|line| line.worth(line.refunded.exact()).0).sum();
        loyalty::remove(transaction, card, paid, paid - amount).await?;
    }
    telling::of_refund(transaction, caller, id, &sold, &returned).await
}
