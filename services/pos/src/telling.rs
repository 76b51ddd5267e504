//! What Inventory and Finance have to be told of sales and refunds. Finance is told what the goods cost once Inventory has said so.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{Amount, App, Caller, Problem, TenantTransaction, outbox, peer};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    CASHIER, MANAGER, MOVER, POSTER,
    sales::{Sale, SaleLine},
};

/// The service that keeps the stock.
pub(crate) const INVENTORY: &str = "inventory";
const FINANCE: &str = "finance";
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
    if caller.context.allows(FINANCE) && gross != Amount::ZERO {
        let lines = [(CASH, "debit", gross), (SALES, "credit", gross - tax), (TAX, "credit", tax)];
        let body = entry(&format!("Sale {}", sale.id), sale, &lines);
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

/// Writes down what has to be told of a refund. Goods come back to Inventory if it has let them go, at what they cost then.
pub(crate) async fn of_refund(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    refund: Uuid,
    sale: &Sale,
    returned: &[Returned<'_>],
) -> Result<(), Problem> {
    let issue = sale.deliveries.iter().find(|one| one.service == INVENTORY);
    if issue.is_some_and(|issue| issue.state == "Pending") {
        return Err(Problem::unavailable("Inventory was not told of the sale yet; try again"));
    }
    if let Some(costs) = issue.and_then(|issue| issue.answer.as_ref()) {
        let goods = returned.iter().filter_map(|one| {
            let sku = one.line.sku.as_ref()?;
            Some(json!({ "sku": sku, "quantity": one.quantity.normalize().to_string(), "unitCost": unit_cost(costs, sku) }))
        });
        let goods: Vec<_> = goods.collect();
        if !goods.is_empty() {
            let body = json!({ "reference": format!("refund of sale {}", sale.id), "lines": goods });
            outbox::add(transaction, refund, INVENTORY, "/receipts", &body).await?;
        }
    }
    let (gross, tax) = total(returned.iter().map(|one| one.worth));
    if caller.context.allows(FINANCE) && gross != Amount::ZERO {
        let lines = [(SALES, "debit", gross - tax), (TAX, "debit", tax), (CASH, "credit", gross)];
        let body = entry(&format!("Refund of sale {}", sale.id), sale, &lines);
        outbox::add(transaction, refund, FINANCE, "/entries", &body).await?;
    }
    Ok(())
}

/// What one of an item cost when it went out, by Inventory's answer: all its lines together.
fn unit_cost(movement: &Value, sku: &str) -> Amount {
    let lines = movement["lines"].as_array().into_iter().flatten().filter(|line| line["sku"] == sku);
    let (cost, quantity) = lines.fold((Decimal::ZERO, Decimal::ZERO), |sum, line| {
        let decimal = |field: &str| line[field].as_str().and_then(|text| text.parse().ok()).unwrap_or(Decimal::ZERO);
        (sum.0 + decimal("cost"), sum.1 + decimal("quantity"))
    });
    cost.checked_div(quantity).map_or(Amount::ZERO, Amount::rounded)
}

/// Whether others may be told of what is sold on the caller's behalf: goods need Inventory, and each of the others a role there.
pub(crate) fn may_tell(caller: &Caller, goods: bool) -> Result<(), Problem> {
    if goods {
        peer::require(caller, INVENTORY, MOVER)?;
    }
    if caller.context.allows(FINANCE) { peer::require_role(caller, POSTER) } else { Ok(()) }
}

/// Tells what is pending, and then what follows from the answers.
pub(crate) async fn tell(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<(), Problem> {
    outbox::deliver(app, caller, subject).await?;
    if book_costs(app, caller, subject).await? {
        outbox::deliver(app, caller, subject).await?;
    }
    Ok(())
}

/// Writes down, for each movement that Inventory has made and that was not seen to, what Finance has to be told of its cost, if the
/// tenant has Finance: it is not to hear later of costs whose revenue it never heard of. Returns whether there was any.
async fn book_costs(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<bool, Problem> {
    let mut transaction = caller.begin(app).await?;
    let movements: Vec<(Uuid, Uuid, Value, String)> = sqlx::query_as(
        "SELECT d.id, d.subject, d.answer, coalesce(s.currency, o.currency)::text FROM delivery d
         LEFT JOIN sale s ON s.id = d.subject
         LEFT JOIN refund r ON r.id = d.subject LEFT JOIN sale o ON o.id = r.sale_id
         WHERE d.service = 'inventory' AND d.state = 'Done' AND NOT d.answer ? 'booked' AND d.subject = coalesce($1, d.subject)
         ORDER BY d.id LIMIT 20 FOR UPDATE OF d SKIP LOCKED",
    )
    .bind(subject)
    .fetch_all(&mut *transaction)
    .await?;
    for (id, subject, movement, currency) in &movements {
        let cost = movement["cost"].as_str().unwrap_or_default();
        // What goes out has a minus.
        let (amount, out) = cost.strip_prefix('-').map_or((cost, false), |amount| (amount, true));
        let amount: Amount = serde_json::from_value(amount.into()).unwrap_or_default();
        if amount != Amount::ZERO && caller.context.allows(FINANCE) {
            let (up, down) = if out { (COST, STOCK) } else { (STOCK, COST) };
            let body = json!({
                "description": format!("Cost of the goods of {subject}"), "source": "pos", "currency": currency,
                "lines": [{ "account": up, "debit": amount }, { "account": down, "credit": amount }],
            });
            outbox::add(&mut transaction, *subject, FINANCE, "/entries", &body).await?;
        }
        sqlx::query("UPDATE delivery SET answer = answer || '{\"booked\": true}' WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(!movements.is_empty())
}

/// What all of it costs, and the tax in that.
fn total(worths: impl Iterator<Item = (Amount, Amount)>) -> (Amount, Amount) {
    worths.fold((Amount::ZERO, Amount::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn entry(description: &str, sale: &Sale, lines: &[(&str, &str, Amount)]) -> Value {
    let lines: Vec<_> = lines
        .iter()
        .filter(|(_, _, amount)| *amount != Amount::ZERO)
        .map(|(account, side, amount)| json!({ "account": account, *side: amount }))
        .collect();
    json!({ "description": description, "source": "pos", "currency": sale.currency, "lines": lines })
}
