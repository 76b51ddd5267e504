//! What other services have to be told of a receipt: Inventory takes the goods in, and Finance what is owed. What Inventory then finds
//! out, that such goods had gone out before at another cost, Finance is told, too.

use easycode_kit::{
    Amount, App, Caller, Currency, Problem, TenantTransaction,
    date::Date,
    outbox, peer,
    postings::{self, FINANCE, keeps_books},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{MOVER, POSTER, orders::Order};

const INVENTORY: &str = "inventory";
/// The accounts that Finance has from the beginning.
const STOCK: &str = "1200";
const PAYABLES: &str = "2000";
const COST: &str = "5000";
const EXPENSES: &str = "6000";

/// What came of an order.
#[derive(Default)]
pub(crate) struct Came {
    /// What goes into stock, as Inventory is told it, and what that is worth.
    pub(crate) goods: Vec<Value>,
    pub(crate) stocked: Amount,
    /// What the rest is worth.
    pub(crate) spent: Amount,
}

/// Writes down what has to be told of a receipt that came on a day.
pub(crate) async fn of_receipt(
    transaction: &mut TenantTransaction,
    caller: &Caller,
    (receipt, day): (Uuid, Date),
    order: &Order,
    came: Came,
) -> Result<(), Problem> {
    let Came { goods, stocked, spent } = came;
    if !goods.is_empty() {
        peer::require(caller, INVENTORY, MOVER)?;
        let reference = format!("purchase order {}", order.id);
        let body = json!({ "reference": reference, "currency": order.currency, "lines": goods });
        outbox::add(transaction, receipt, INVENTORY, "/receipts", &body).await?;
    }
    if keeps_books(caller) && stocked + spent != Amount::ZERO {
        peer::require_role(caller, POSTER)?;
        let lines = [(STOCK, "debit", stocked), (EXPENSES, "debit", spent), (PAYABLES, "credit", stocked + spent)];
        let body = entry(&format!("Received of purchase order {}", order.id), order.currency.as_str(), day, &lines);
        outbox::add(transaction, receipt, FINANCE, "/entries", &body).await?;
    }
    Ok(())
}

/// Tells what is pending, and then what follows from the answers.
pub(crate) async fn tell(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<(), Problem> {
    outbox::deliver(app, caller, subject).await?;
    if book_variances(app, caller, subject).await? {
        outbox::deliver(app, caller, subject).await?;
    }
    Ok(())
}

/// A receipt that has settled what had gone out at another cost.
#[derive(sqlx::FromRow)]
struct Settled {
    id: Uuid,
    subject: Uuid,
    variance: String,
    order_id: Uuid,
    currency: Currency,
    day: Date,
    /// Whether Finance is told what is owed.
    told: bool,
    /// Whether nothing is owed, so that there is nothing to tell.
    free: bool,
}

/// Writes down what Finance has to be told of variances, each once, if it is told of the receipt. Returns whether there was any.
async fn book_variances(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<bool, Problem> {
    let mut transaction = caller.begin(app).await?;
    let settled: Vec<Settled> = sqlx::query_as(
        "SELECT d.id, d.subject, d.answer ->> 'variance' AS variance, r.order_id, o.currency::text AS currency,
                (r.received_at AT TIME ZONE 'UTC')::date AS day,
                EXISTS (SELECT FROM delivery f WHERE f.subject = d.subject AND f.service = 'finance') AS told,
                NOT EXISTS (SELECT FROM receipt_line l JOIN order_line p ON p.order_id = r.order_id AND p.position = l.position
                            CROSS JOIN LATERAL (SELECT coalesce(sum(e.quantity), 0) AS came
                                FROM receipt_line e JOIN receipt s ON s.id = e.receipt_id
                                WHERE s.order_id = r.order_id AND s.id < r.id AND e.position = l.position) earlier
                            WHERE l.receipt_id = r.id
                                AND round((earlier.came + l.quantity) * p.unit_price, 2) > round(earlier.came * p.unit_price, 2)) AS free
         FROM delivery d JOIN receipt r ON r.id = d.subject JOIN purchase_order o ON o.id = r.order_id
         WHERE d.service = 'inventory' AND d.state = 'Done' AND d.answer ->> 'variance' <> '0.00' AND NOT d.answer ? 'booked'
             AND d.subject = coalesce($1, d.subject)
         ORDER BY d.id LIMIT 20 FOR UPDATE OF d SKIP LOCKED",
    )
    .bind(subject)
    .fetch_all(&mut *transaction)
    .await?;
    for one in &settled {
        if one.told || (one.free && keeps_books(caller)) {
            let description =
                format!("Variance of goods of purchase order {} that were sold before they came", one.order_id);
            let body = entry(&description, one.currency.as_str(), one.day, &of_variance(&one.variance));
            outbox::add(&mut transaction, one.subject, FINANCE, "/entries", &body).await?;
        }
        outbox::see_through(&mut transaction, one.id).await?;
    }
    transaction.commit().await?;
    Ok(!settled.is_empty())
}

/// What was sold cost as much more, with a minus less, and the stock is worth as much less.
fn of_variance(variance: &str) -> [(&'static str, &'static str, Amount); 2] {
    let (amount, up, down) = variance.strip_prefix('-').map_or((variance, COST, STOCK), |amount| (amount, STOCK, COST));
    let amount = serde_json::from_value(amount.into()).unwrap_or_default();
    [(up, "debit", amount), (down, "credit", amount)]
}

fn entry(description: &str, currency: &str, day: Date, lines: &[(&str, &str, Amount)]) -> Value {
    postings::entry("procurement", description, currency, day, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_dearer_than_it_went_out_adds_to_what_the_goods_cost() {
        let of =
            |variance: &str| of_variance(variance).map(|(account, side, amount)| format!("{account} {side} {amount}"));
        assert_eq!(of("2.00"), ["5000 debit 2.00", "1200 credit 2.00"]);
        assert_eq!(of("-0.50"), ["1200 debit 0.50", "5000 credit 0.50"]);
    }
}
