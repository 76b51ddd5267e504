//! What Inventory and Finance have to be told of sales and refunds. Finance is told what the goods cost once Inventory has said so.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Problem, TenantTransaction,
    date::Date,
    outbox, peer,
    postings::{self, FINANCE, keeps_books},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    CASHIER, MANAGER, MOVER, POSTER, costs,
    sales::{Sale, SaleLine},
};

/// The service that keeps the stock.
pub(crate) const INVENTORY: &str = "inventory";
/// The accounts that Finance has from the beginning.
const CASH: &str = "1000";
const STOCK: &str = "1200";
const TAX: &str = "2100";
const SALES: &str = "4000";
const COST: &str = "5000";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(deliver)).merge(outbox::routes())
}

/// Tells other services what they were not told yet.
#[utoipa::path(post, path = "/deliveries", tag = "deliveries", responses((status = 204)))]
async fn deliver(caller: Caller, State(app): State<App>) -> Result<StatusCode, Problem> {
    caller.require_any_role(&[CASHIER, MANAGER])?;
    tell(&app, &caller, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes down what has to be told of a sale.
pub(crate) async fn of_sale(transaction: &mut TenantTransaction, caller: &Caller, sale: &Sale) -> Result<(), Problem> {
    let goods: Vec<_> = sale
        .lines
        .iter()
        .filter_map(|line| line.sku.as_ref().map(|sku| json!({ "sku": sku, "quantity": line.quantity })))
        .collect();
    if !goods.is_empty() {
        let body = json!({ "reference": format!("sale {}", sale.id), "lines": goods });
        outbox::add(transaction, sale.id, INVENTORY, "/issues", &body).await?;
    }
    let (gross, tax) = total(sale.lines.iter().map(|line| line.worth(line.quantity.exact())));
    if keeps_books(caller) && gross != Amount::ZERO {
        let lines = [(CASH, "debit", gross), (SALES, "credit", gross - tax), (TAX, "credit", tax)];
        let day =
            day(transaction, "SELECT (sold_at AT TIME ZONE 'UTC')::date FROM sale WHERE id = $1", sale.id).await?;
        let body = entry(&format!("Sale {}", sale.id), sale.currency.as_str(), day, &lines);
        outbox::add(transaction, sale.id, FINANCE, "/entries", &body).await?;
    }
    Ok(())
}

/// What of a line is given back.
pub(crate) struct Returned<'a> {
    pub(crate) line: &'a SaleLine,
    pub(crate) quantity: Decimal,
    /// What is paid back for it, and the tax in that.
    pub(crate) worth: (Amount, Amount),
}

/// Writes down what has to be told of a refund. Goods come back to Inventory if it has let them go, at what they cost then; not while
/// the tenant is not entitled to it: Finance would wait for what may never be told. Finance is told if it was told of the sale, and
/// not before that.
pub(crate) async fn of_refund(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    refund: Uuid,
    sale: &Sale,
    returned: &[Returned<'_>],
) -> Result<(), Problem> {
    let issue = sale.deliveries.iter().find(|one| one.service == INVENTORY && caller.context.allows(INVENTORY));
    if issue.is_some_and(|issue| issue.state == "Pending") {
        return Err(Problem::unavailable("Inventory was not told of the sale yet; try again"));
    }
    if let Some(answer) = issue.and_then(|issue| issue.answer.as_ref()) {
        let goods = goods_back(answer, sale, returned);
        if !goods.is_empty() {
            let body = json!({ "reference": format!("refund of sale {}", sale.id), "lines": goods });
            outbox::add(transaction, refund, INVENTORY, "/receipts", &body).await?;
        }
    }
    let (gross, tax) = total(returned.iter().map(|one| one.worth));
    // The first that Finance is told of a sale is what was paid.
    let posted = sale.deliveries.iter().find(|one| one.service == FINANCE);
    if let Some(posted) = posted.filter(|_| keeps_books(caller) && gross != Amount::ZERO) {
        let lines = [(SALES, "debit", gross - tax), (TAX, "debit", tax), (CASH, "credit", gross)];
        let day =
            day(transaction, "SELECT (made_at AT TIME ZONE 'UTC')::date FROM refund WHERE id = $1", refund).await?;
        let body = entry(&format!("Refund of sale {}", sale.id), sale.currency.as_str(), day, &lines);
        outbox::add_following(transaction, refund, posted, FINANCE, "/entries", &body).await?;
    }
    Ok(())
}

/// The goods that come back, at what they went out at by Inventory's answer.
fn goods_back(issue: &Value, sale: &Sale, returned: &[Returned<'_>]) -> Vec<Value> {
    let mut before: BTreeMap<&str, Decimal> = BTreeMap::new();
    for line in &sale.lines {
        *before.entry(line.sku.as_deref().unwrap_or_default()).or_default() += line.refunded.exact();
    }
    let back = returned.iter().filter_map(|one| {
        let sku = one.line.sku.as_deref()?;
        let before = before.entry(sku).or_default();
        let cost = costs::of_returned(issue, sku, *before, one.quantity);
        *before += one.quantity;
        Some(json!({ "sku": sku, "quantity": one.quantity.normalize().to_string(), "cost": cost }))
    });
    back.collect()
}

/// The day that something counts for: that on which it was done, however late Finance is told.
async fn day(transaction: &mut TenantTransaction, query: &'static str, of: Uuid) -> Result<Date, Problem> {
    Ok(sqlx::query_scalar(query).bind(of).fetch_one(&mut **transaction).await?)
}

/// Whether others may be told of what is sold on the caller's behalf: goods need Inventory, and each of the others a role there.
pub(crate) fn may_tell(caller: &Caller, goods: bool) -> Result<(), Problem> {
    if goods {
        peer::require(caller, INVENTORY, MOVER)?;
    }
    if keeps_books(caller) { peer::require_role(caller, POSTER) } else { Ok(()) }
}

/// Tells what is pending, and then what follows from the answers.
pub(crate) async fn tell(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<(), Problem> {
    outbox::deliver(app, caller, subject).await?;
    if book_costs(app, caller, subject).await? {
        outbox::deliver(app, caller, subject).await?;
    }
    Ok(())
}

/// A movement that Inventory has made for a sale or a refund.
#[derive(sqlx::FromRow)]
struct Moved {
    id: Uuid,
    subject: Uuid,
    answer: Value,
    /// The currency of the sale, and the day of it or of the refund.
    currency: String,
    day: Date,
    /// Whether Finance is told of what was paid.
    told: bool,
    /// Whether nothing was paid, so that there is nothing to tell.
    free: bool,
}

/// Writes down, for each movement that Inventory has made and that was not seen to, what Finance has to be told of its cost, if it is
/// told of what the goods were sold for: it is not to hear of costs whose revenue it never heard of. Costs are posted in their own
/// currency, whatever the goods were sold in. Returns whether there was any.
async fn book_costs(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<bool, Problem> {
    let mut transaction = caller.begin(app).await?;
    let movements: Vec<Moved> = sqlx::query_as(
        "SELECT d.id, d.subject, d.answer, coalesce(s.currency, o.currency)::text AS currency,
                (coalesce(s.sold_at, r.made_at) AT TIME ZONE 'UTC')::date AS day,
                EXISTS (SELECT FROM delivery f WHERE f.subject = d.subject AND f.service = 'finance') AS told,
                s.id IS NOT NULL AND NOT EXISTS (SELECT FROM sale_line l
                    WHERE l.sale_id = s.id AND round(l.quantity * l.unit_price, 2) > 0) AS free
         FROM delivery d
         LEFT JOIN sale s ON s.id = d.subject
         LEFT JOIN refund r ON r.id = d.subject LEFT JOIN sale o ON o.id = r.sale_id
         WHERE d.service = 'inventory' AND d.state = 'Done' AND NOT d.answer ? 'booked' AND d.subject = coalesce($1, d.subject)
         ORDER BY d.id LIMIT 20 FOR UPDATE OF d SKIP LOCKED",
    )
    .bind(subject)
    .fetch_all(&mut *transaction)
    .await?;
    for moved in &movements {
        let heard = moved.told || (moved.free && keeps_books(caller));
        for (currency, sum) in costs::into_stock(&moved.answer, &moved.currency).into_iter().filter(|_| heard) {
            let (up, down) = if sum.is_sign_negative() { (COST, STOCK) } else { (STOCK, COST) };
            let amount = Amount::rounded(sum.abs());
            let description = format!("Cost of the goods of {}", moved.subject);
            let lines = [(up, "debit", amount), (down, "credit", amount)];
            let body = entry(&description, &currency, moved.day, &lines);
            outbox::add(&mut transaction, moved.subject, FINANCE, "/entries", &body).await?;
        }
        outbox::see_through(&mut transaction, moved.id).await?;
    }
    transaction.commit().await?;
    Ok(!movements.is_empty())
}

/// What all of it costs, and the tax in that.
fn total(worths: impl Iterator<Item = (Amount, Amount)>) -> (Amount, Amount) {
    worths.fold((Amount::ZERO, Amount::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn entry(description: &str, currency: &str, day: Date, lines: &[(&str, &str, Amount)]) -> Value {
    postings::entry("pos", description, currency, day, lines)
}
