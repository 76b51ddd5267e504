//! Sales. The register gives each its id, so it may send one again and again until it is answered.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Quantity, Query, TenantTransaction,
    outbox::{self, Delivery},
    page::{Page, PageQuery},
    record::{self, untouched},
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    CASHIER, MANAGER, loyalty, shifts,
    telling::{self, INVENTORY},
};

/// What a line comes to is less.
const MOST_OF_A_LINE: i64 = 10_000_000_000_000;

/// A sale.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// Its id, which the register gave it.
    pub id: Uuid,
    /// The shift it was made in.
    pub shift_id: Uuid,
    /// Its currency.
    pub currency: Currency,
    /// `Cash` or `Card`.
    pub payment: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub sold_at: String,
    /// The loyalty card that was shown.
    pub loyalty_card: Option<String>,
    /// What was paid, taxes included.
    pub total: Amount,
    /// What was sold; not in lists.
    #[sqlx(skip)]
    pub lines: Vec<SaleLine>,
    /// Whether other services have been told; not in lists.
    #[sqlx(skip)]
    pub deliveries: Vec<Delivery>,
}

/// A line of a sale.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SaleLine {
    /// The item, if its stock is kept in Inventory.
    pub sku: Option<String>,
    /// What is printed.
    pub description: String,
    /// How much.
    pub quantity: Quantity,
    /// Price of one, taxes included.
    pub unit_price: Amount,
    /// Percent of tax that the price includes; none without it.
    #[serde(default)]
    pub tax_rate: Amount,
    /// How much of it was given back.
    #[serde(default, skip_deserializing)]
    pub refunded: Quantity,
}

impl SaleLine {
    /// What a quantity of it costs, and the tax in that.
    #[must_use]
    pub fn worth(&self, quantity: Decimal) -> (Amount, Amount) {
        let gross = Amount::rounded(quantity * self.unit_price.exact());
        let rate = self.tax_rate.exact();
        (gross, Amount::rounded(gross.exact() * rate / (Decimal::ONE_HUNDRED + rate)))
    }
}

/// What a register sends.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SaleInput {
    /// The shift, which must be open.
    shift_id: Uuid,
    /// `Cash` or `Card`.
    payment: String,
    /// The loyalty card that was shown; needs the module `loyalty`.
    loyalty_card: Option<String>,
    /// What is sold, 1 to 200 lines.
    lines: Vec<SaleLine>,
}

const FIELDS: &str = "id, shift_id, currency::text AS currency, payment, loyalty_card,
    to_char(sold_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS sold_at,
    coalesce((SELECT sum(round(quantity * unit_price, 2)) FROM sale_line WHERE sale_id = id), 0) AS total FROM sale";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, put))
}

/// A page of sales, by id.
#[utoipa::path(get, path = "/", tag = "sales", params(PageQuery), responses((status = 200, body = Page<Sale>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Sale>>, Problem> {
    Ok(Json(page.read(&caller, &app, FIELDS, "id", |one: &Sale| one.id).await?))
}

/// One sale.
#[utoipa::path(get, path = "/{id}", tag = "sales", responses((status = 200, body = Sale), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Sale>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Sells. Items of Inventory need Inventory, and what it has not in stock is not sold. If it does not answer, the customer need
/// not wait: it is told later. Sent again, a sale is answered with as it was taken in first.
#[utoipa::path(put, path = "/{id}", tag = "sales", request_body = SaleInput, responses((status = 200, body = Sale), (status = 201, body = Sale), (status = 403), (status = 409), (status = 422)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(input): Json<SaleInput>,
) -> Result<(StatusCode, Json<Sale>), Problem> {
    caller.require_any_role(&[CASHIER, MANAGER])?;
    check(&input)?;
    // Goes on when the register has hung up.
    let sold = tokio::spawn(async move {
        let status = take_in(&caller, &app, id, &input).await?;
        Ok((status, Json(settle(&caller, &app, id).await?)))
    });
    sold.await.map_err(|_| Problem::internal())?
}

fn check(input: &SaleInput) -> Result<(), Problem> {
    record::bounded(input.lines.len(), 1)?;
    let most = Decimal::from(MOST_OF_A_LINE);
    if let Some(at) = input.lines.iter().position(|line| line.quantity.exact() * line.unit_price.exact() >= most) {
        return Err(Problem::invalid(format!("lines.{at}: comes to more than can be sold in one line")));
    }
    Ok(())
}

/// Whether the tenant and the caller have what a new sale takes. One that was made before is not asked for it again.
fn may_sell(caller: &Caller, app: &App, input: &SaleInput) -> Result<(), Problem> {
    if input.loyalty_card.is_some() {
        caller.require_module(&app.config.service, loyalty::MODULE)?;
    }
    telling::may_tell(caller, input.lines.iter().any(|line| line.sku.is_some()))
}

/// Writes a sale down, with what others have to be told of it, unless it is there already, be the shift closed by now.
async fn take_in(caller: &Caller, app: &App, id: Uuid, input: &SaleInput) -> Result<StatusCode, Problem> {
    let fingerprint = record::fingerprint(input);
    let mut transaction = caller.begin(app).await?;
    if is_there(&mut transaction, id, &fingerprint).await? {
        return Ok(StatusCode::OK);
    }
    may_sell(caller, app, input)?;
    let currency = shifts::open_at(&mut transaction, input.shift_id).await?;
    let made = sqlx::query(
        "INSERT INTO sale (id, shift_id, currency, payment, loyalty_card, fingerprint)
         SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT FROM refund WHERE id = $1) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(input.shift_id)
    .bind(currency)
    .bind(&input.payment)
    .bind(&input.loyalty_card)
    .bind(&fingerprint)
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        // Sent twice at once, or a refund has the id.
        let there = is_there(&mut transaction, id, &fingerprint).await?;
        return if there { Ok(StatusCode::OK) } else { Err(another()) };
    }
    write_lines(&mut transaction, id, &input.lines).await?;
    let sale = find(&mut transaction, id).await?;
    if let Some(card) = &input.loyalty_card {
        loyalty::add(&mut transaction, card, sale.total).await?;
    }
    telling::of_sale(&mut transaction, caller, &sale).await?;
    transaction.commit().await?;
    Ok(StatusCode::CREATED)
}

/// Tells others of a sale, and returns it, or takes it back if Inventory refuses it before anyone was told that it was made.
pub(crate) async fn settle(caller: &Caller, app: &App, id: Uuid) -> Result<Sale, Problem> {
    telling::tell(app, caller, Some(id)).await?;
    let mut transaction = caller.begin(app).await?;
    let answered: Option<bool> = sqlx::query_scalar("SELECT answered FROM sale WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    let answered = answered.ok_or_else(|| Problem::conflict("nothing was sold: it was refused and taken back"))?;
    let sale = find(&mut transaction, id).await?;
    let issue = sale.deliveries.iter().find(|one| one.service == INVENTORY).filter(|_| !answered);
    if issue.is_some_and(|issue| issue.state == "Pending" && issue.claimed) {
        return Err(Problem::unavailable("the sale is just being taken in; try again"));
    }
    if let Some(refused) = issue.filter(|issue| issue.state == "Refused") {
        let why = format!("nothing was sold: {}", refused.detail);
        sqlx::query("DELETE FROM delivery WHERE subject = $1").bind(id).execute(&mut *transaction).await?;
        if let Some(card) = &sale.loyalty_card {
            loyalty::remove(&mut transaction, card, sale.total, Amount::ZERO).await?;
        }
        sqlx::query("DELETE FROM sale WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        return Err(Problem::conflict(why));
    }
    if !answered {
        sqlx::query("UPDATE sale SET answered = true WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(sale)
}

/// Whether the sale was made before; refuses if what has the id is another.
async fn is_there(transaction: &mut TenantTransaction, id: Uuid, fingerprint: &str) -> Result<bool, Problem> {
    let before: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM sale WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await?;
    match before {
        Some(before) if before != fingerprint => Err(another()),
        before => Ok(before.is_some()),
    }
}

fn another() -> Problem {
    Problem::conflict("id: another sale has this id; a sale can't be changed, only refunded")
}

pub(crate) async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Sale, Problem> {
    let query = format!("SELECT {FIELDS} WHERE id = $1");
    let found: Option<Sale> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut **transaction).await?;
    let mut sale = found.ok_or_else(|| untouched(false, "sale"))?;
    sale.lines = sqlx::query_as(
        "SELECT sku, description, quantity, unit_price, tax_rate, refunded FROM sale_line WHERE sale_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    sale.deliveries = outbox::about(transaction, id).await?;
    Ok(sale)
}

async fn write_lines(transaction: &mut TenantTransaction, id: Uuid, lines: &[SaleLine]) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO sale_line (sale_id, position, sku, description, quantity, unit_price, tax_rate)
         SELECT $1, position, sku, description, quantity, unit_price, tax_rate
         FROM unnest($2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[])
             WITH ORDINALITY line(sku, description, quantity, unit_price, tax_rate, position)",
    )
    .bind(id)
    .bind(lines.iter().map(|line| line.sku.as_deref()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.description.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.unit_price).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.tax_rate).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_tax_is_what_the_price_includes() {
        let line = |price: &str, rate: &str| -> SaleLine {
            from_value(json!({ "description": "x", "quantity": "1", "unitPrice": price, "taxRate": rate })).unwrap()
        };
        for (price, rate, quantity, gross, tax) in [
            ("11.90", "19", "1", "11.90", "1.90"),
            ("1.00", "7", "3", "3.00", "0.20"),
            ("9.99", "0", "0.5", "5.00", "0.00"),
        ] {
            let (a, b) = line(price, rate).worth(quantity.parse().unwrap());
            assert_eq!((a.to_string(), b.to_string()), (gross.to_owned(), tax.to_owned()), "{price} {rate}");
        }
    }
}
