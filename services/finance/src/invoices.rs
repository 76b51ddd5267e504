//! Invoices: drafts that can be changed, then numbered without a gap and posted, then paid.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Quantity, Query, RequestKey, TenantTransaction,
    date::Date,
    page::{Page, PageQuery},
    record::{self, IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    CLERK, MANAGER,
    journal::{self, EntryInput, Line},
};

/// The module.
pub(crate) const INVOICING: &str = "invoicing";
/// The accounts that invoices and payments are posted to.
const CASH: &str = "1000";
const RECEIVABLES: &str = "1100";
const TAX: &str = "2100";
const SALES: &str = "4000";
/// Days until an invoice is due that says nothing of it.
const DUE: i32 = 30;

/// An invoice.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// Its id.
    pub id: Uuid,
    /// Its number, once it is issued. There are no gaps.
    pub number: Option<i32>,
    /// Who is to pay.
    pub customer: String,
    /// The contact in CRM, if it came from there.
    pub contact_id: Option<Uuid>,
    /// Its currency.
    pub currency: Currency,
    /// `Draft`, `Issued`, `Paid` or `Void`.
    pub status: String,
    /// When it was issued.
    pub issued_on: Option<Date>,
    /// When it is to be paid.
    pub due_on: Option<Date>,
    /// Sum of the lines without taxes.
    pub net: Amount,
    /// Taxes, each line rounded by itself.
    pub tax: Amount,
    /// What was paid.
    pub paid: Amount,
    /// The entry that it was posted by.
    pub entry_id: Option<Uuid>,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
    /// What is charged; not in lists.
    #[sqlx(skip)]
    pub lines: Vec<InvoiceLine>,
}

/// A line of an invoice.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InvoiceLine {
    /// What is charged for.
    description: String,
    /// How much of it.
    quantity: Quantity,
    /// Price of one, without taxes.
    unit_price: Amount,
    /// Percent of tax, such as `19.00`; none without it.
    #[serde(default)]
    tax_rate: Amount,
}

/// What a caller says of an invoice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InvoiceInput {
    /// Who is to pay.
    customer: String,
    /// The contact in CRM, if it came from there.
    contact_id: Option<Uuid>,
    /// Its currency.
    currency: Currency,
    /// When it is to be paid; 30 days after it is issued without it.
    due_on: Option<Date>,
    /// What is charged, 1 to 200 lines.
    lines: Vec<InvoiceLine>,
}

/// A payment.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Its id.
    pub id: Uuid,
    /// The invoice.
    pub invoice_id: Uuid,
    /// When it came in.
    pub date: Date,
    /// How much.
    pub amount: Amount,
    /// The entry that it was posted by.
    pub entry_id: Uuid,
    /// The entry by which it was taken back.
    pub reversal_id: Option<Uuid>,
}

const PAYMENT: &str = "id, invoice_id, date, amount, entry_id, reversal_id";

/// What a caller says of a payment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentInput {
    /// When it came in; today without it.
    date: Option<Date>,
    /// How much, in the currency of the invoice.
    amount: Amount,
}

const FIELDS: &str =
    "i.id, number, customer, contact_id, currency::text AS currency, status, issued_on, due_on, entry_id, version,
    coalesce(t.net, 0) AS net, coalesce(t.tax, 0) AS tax,
    coalesce((SELECT sum(amount) FROM payment p WHERE p.invoice_id = i.id AND reversal_id IS NULL), 0) AS paid
    FROM invoice i LEFT JOIN LATERAL (SELECT net, tax FROM invoice_total WHERE invoice_id = i.id) t ON true";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(issue))
        .routes(routes!(void))
        .routes(routes!(payments, pay))
        .routes(routes!(take_back))
}

fn entitled(caller: &Caller, app: &App) -> Result<(), Problem> {
    caller.require_module(&app.config.service, INVOICING)
}

fn may_write(caller: &Caller, app: &App) -> Result<(), Problem> {
    entitled(caller, app)?;
    caller.require_any_role(&[CLERK, MANAGER])
}

/// A page of invoices, oldest first, without their lines.
#[utoipa::path(get, path = "/", tag = "invoices", params(PageQuery), responses((status = 200, body = Page<Invoice>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Invoice>>, Problem> {
    entitled(&caller, &app)?;
    Ok(Json(page.read(&caller, &app, FIELDS, "i.id", |one: &Invoice| one.id).await?))
}

/// One invoice.
#[utoipa::path(get, path = "/{id}", tag = "invoices", responses((status = 200, body = Invoice), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Invoice>, Problem> {
    entitled(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Drafts an invoice.
#[utoipa::path(post, path = "/", tag = "invoices", request_body = InvoiceInput, responses((status = 201, body = Invoice), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<InvoiceInput>,
) -> Result<(StatusCode, Json<Invoice>), Problem> {
    may_write(&caller, &app)?;
    let id = Uuid::now_v7();
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("INSERT INTO invoice (id, customer, contact_id, currency, due_on) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(&input.customer)
        .bind(input.contact_id)
        .bind(&input.currency)
        .bind(input.due_on)
        .execute(&mut *transaction)
        .await?;
    write_lines(&mut transaction, id, &input.lines).await?;
    let invoice = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(invoice)))
}

/// Replaces a draft, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "invoices", params(IfMatch), request_body = InvoiceInput, responses((status = 200, body = Invoice), (status = 404), (status = 409), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<InvoiceInput>,
) -> Result<Json<Invoice>, Problem> {
    may_write(&caller, &app)?;
    let expected = expected_version(&headers)?;
    let mut transaction = caller.begin(&app).await?;
    let before = locked(&mut transaction, id).await?;
    before.must_be("Draft", "only a draft can be changed; void it and write another")?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(untouched(true, "invoice"));
    }
    sqlx::query(
        "UPDATE invoice SET customer = $2, contact_id = $3, currency = $4, due_on = $5, version = version + 1 WHERE id = $1",
    )
    .bind(id)
    .bind(&input.customer)
    .bind(input.contact_id)
    .bind(&input.currency)
    .bind(input.due_on)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM invoice_line WHERE invoice_id = $1").bind(id).execute(&mut *transaction).await?;
    write_lines(&mut transaction, id, &input.lines).await?;
    let invoice = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(invoice))
}

/// Deletes a draft.
#[utoipa::path(delete, path = "/{id}", tag = "invoices", responses((status = 204), (status = 404), (status = 409)))]
async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    may_write(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    locked(&mut transaction, id).await?.must_be("Draft", "it has a number, which can't be given twice; void it")?;
    sqlx::query("DELETE FROM invoice WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Issues a draft: gives it the next number, and posts it.
#[utoipa::path(post, path = "/{id}/issue", tag = "invoices", responses((status = 200, body = Invoice), (status = 404), (status = 409)))]
async fn issue(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Invoice>, Problem> {
    may_write(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    locked(&mut transaction, id).await?.must_be("Draft", "it is issued already")?;
    let draft = find(&mut transaction, id).await?;
    let total = draft.net + draft.tax;
    if total == Amount::ZERO {
        return Err(Problem::conflict("an invoice of nothing can't be issued"));
    }
    let number: i32 = sqlx::query_scalar("UPDATE invoice_number SET next = next + 1 RETURNING next - 1")
        .fetch_one(&mut *transaction)
        .await?;
    let mut lines = vec![debit(RECEIVABLES, total), credit(SALES, draft.net)];
    lines.extend((draft.tax != Amount::ZERO).then(|| credit(TAX, draft.tax)));
    let entry = entry(&draft, &format!("Invoice {number}, {}", draft.customer), None, lines);
    let entry = journal::post(&mut transaction, &caller, &entry, None, None).await?.ok_or_else(Problem::internal)?;
    sqlx::query(
        "UPDATE invoice SET status = 'Issued', number = $2, entry_id = $3, issued_on = current_date,
             due_on = coalesce(due_on, current_date + $4), version = version + 1 WHERE id = $1",
    )
    .bind(id)
    .bind(number)
    .bind(entry)
    .bind(DUE)
    .execute(&mut *transaction)
    .await?;
    let invoice = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(invoice))
}

/// Voids an invoice that nothing was paid of: its number stays, and its entry is reversed.
#[utoipa::path(post, path = "/{id}/void", tag = "invoices", responses((status = 200, body = Invoice), (status = 404), (status = 409)))]
async fn void(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Invoice>, Problem> {
    entitled(&caller, &app)?;
    caller.require_role(MANAGER)?;
    let mut transaction = caller.begin(&app).await?;
    locked(&mut transaction, id).await?.must_be("Issued", "only an invoice that is issued can be voided")?;
    let invoice = find(&mut transaction, id).await?;
    if invoice.paid != Amount::ZERO {
        return Err(Problem::conflict(format!("{} was paid of it; pay that back first", invoice.paid)));
    }
    let posted = invoice.entry_id.ok_or_else(Problem::internal)?;
    let posted = journal::find(&mut transaction, "id", posted).await?.ok_or_else(Problem::internal)?;
    let reversal = journal::reversal_of(&posted);
    journal::post(&mut transaction, &caller, &reversal, Some(posted.id), None).await?;
    sqlx::query("UPDATE invoice SET status = 'Void', version = version + 1 WHERE id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    let invoice = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(invoice))
}

/// A page of the payments of an invoice, oldest first.
#[utoipa::path(get, path = "/{id}/payments", tag = "invoices", params(PageQuery), responses((status = 200, body = Page<Payment>)))]
async fn payments(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Payment>>, Problem> {
    entitled(&caller, &app)?;
    let select = format!("{PAYMENT} FROM (SELECT * FROM payment WHERE invoice_id = '{id}') AS of_invoice");
    Ok(Json(page.read(&caller, &app, &select, "id", |one: &Payment| one.id).await?))
}

/// Takes in a payment, of all or a part of what is open. Sent again with the same `Idempotency-Key`, it is taken in once.
#[utoipa::path(post, path = "/{id}/payments", tag = "invoices", params(RequestKey), request_body = PaymentInput, responses((status = 200, body = Payment, description = "It was done before, by the same key."), (status = 201, body = Payment), (status = 404), (status = 409)))]
async fn pay(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    key: RequestKey,
    Json(input): Json<PaymentInput>,
) -> Result<(StatusCode, Json<Payment>), Problem> {
    may_write(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    let locked = locked(&mut transaction, id).await?;
    let fingerprint = record::fingerprint(&(id, &input));
    // Under the lock, so that of two at once the second finds the first.
    let query = format!("SELECT {PAYMENT} FROM payment WHERE request_key = $1");
    let before: Option<Payment> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(&key.0).fetch_optional(&mut *transaction).await?;
    if let Some(before) = before {
        let known: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM payment WHERE id = $1")
            .bind(before.id)
            .fetch_one(&mut *transaction)
            .await?;
        RequestKey::same(known.as_deref(), &fingerprint)?;
        return Ok((StatusCode::OK, Json(before)));
    }
    locked.must_be("Issued", "only an invoice that is issued, and not paid yet, takes payments")?;
    let invoice = find(&mut transaction, id).await?;
    let open = invoice.net + invoice.tax - invoice.paid;
    if input.amount == Amount::ZERO || input.amount > open {
        return Err(Problem::conflict(format!("amount: must be more than nothing and at most {open}, which is open")));
    }
    let description = format!("Payment of invoice {}", invoice.number.unwrap_or_default());
    let lines = vec![debit(CASH, input.amount), credit(RECEIVABLES, input.amount)];
    let entry = entry(&invoice, &description, input.date, lines);
    let entry = journal::post(&mut transaction, &caller, &entry, None, None).await?.ok_or_else(Problem::internal)?;
    let query = format!(
        "INSERT INTO payment (id, invoice_id, date, amount, entry_id, request_key, fingerprint)
         VALUES ($1, $2, coalesce($3, current_date), $4, $5, $6, $7) RETURNING {PAYMENT}"
    );
    let payment = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(Uuid::now_v7())
        .bind(id)
        .bind(input.date)
        .bind(input.amount)
        .bind(entry)
        .bind(&key.0)
        .bind(fingerprint)
        .fetch_one(&mut *transaction)
        .await?;
    if input.amount == open {
        sqlx::query("UPDATE invoice SET status = 'Paid', version = version + 1 WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(payment)))
}

/// Takes a payment back that was no payment of the invoice: its entry is reversed, and the invoice is open again.
#[utoipa::path(post, path = "/{id}/payments/{payment}/reversal", tag = "invoices", responses((status = 200, body = Payment), (status = 404), (status = 409)))]
async fn take_back(
    caller: Caller,
    State(app): State<App>,
    Path((id, payment)): Path<(Uuid, Uuid)>,
) -> Result<Json<Payment>, Problem> {
    entitled(&caller, &app)?;
    caller.require_role(MANAGER)?;
    let mut transaction = caller.begin(&app).await?;
    locked(&mut transaction, id).await?;
    let query = format!("SELECT {PAYMENT} FROM payment WHERE id = $1 AND invoice_id = $2");
    let found: Option<Payment> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(payment).bind(id).fetch_optional(&mut *transaction).await?;
    let found = found.ok_or_else(|| untouched(false, "payment"))?;
    if found.reversal_id.is_some() {
        return Err(Problem::conflict("the payment was taken back already"));
    }
    let posted = journal::find(&mut transaction, "id", found.entry_id).await?.ok_or_else(Problem::internal)?;
    let reversal = journal::reversal_of(&posted);
    let reversal = journal::post(&mut transaction, &caller, &reversal, Some(posted.id), None).await?;
    let query = format!("UPDATE payment SET reversal_id = $2 WHERE id = $1 RETURNING {PAYMENT}");
    let taken_back =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(payment).bind(reversal).fetch_one(&mut *transaction).await?;
    sqlx::query("UPDATE invoice SET status = 'Issued', version = version + 1 WHERE id = $1 AND status = 'Paid'")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Json(taken_back))
}

fn debit(account: &str, amount: Amount) -> Line {
    Line { account: account.to_owned(), debit: amount, credit: Amount::ZERO }
}

fn credit(account: &str, amount: Amount) -> Line {
    Line { account: account.to_owned(), debit: Amount::ZERO, credit: amount }
}

fn entry(invoice: &Invoice, description: &str, date: Option<Date>, lines: Vec<Line>) -> EntryInput {
    EntryInput {
        date,
        description: description.chars().take(500).collect(),
        source: Some("invoice".to_owned()),
        currency: invoice.currency.clone(),
        lines,
    }
}

/// An invoice that nobody else changes until the transaction ends.
struct Locked {
    status: String,
    version: i32,
}

impl Locked {
    fn must_be(&self, status: &str, otherwise: &str) -> Result<(), Problem> {
        if self.status == status { Ok(()) } else { Err(Problem::conflict(otherwise)) }
    }
}

async fn locked(transaction: &mut TenantTransaction, id: Uuid) -> Result<Locked, Problem> {
    let found: Option<(String, i32)> = sqlx::query_as("SELECT status, version FROM invoice WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await?;
    found.map(|(status, version)| Locked { status, version }).ok_or_else(|| untouched(false, "invoice"))
}

async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Invoice, Problem> {
    let query = format!("SELECT {FIELDS} WHERE i.id = $1");
    let found: Option<Invoice> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut **transaction).await?;
    let mut invoice = found.ok_or_else(|| untouched(false, "invoice"))?;
    invoice.lines = sqlx::query_as(
        "SELECT description, quantity, unit_price, tax_rate FROM invoice_line WHERE invoice_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    Ok(invoice)
}

async fn write_lines(transaction: &mut TenantTransaction, id: Uuid, lines: &[InvoiceLine]) -> Result<(), Problem> {
    record::bounded(lines.len(), 1)?;
    sqlx::query(
        "INSERT INTO invoice_line (invoice_id, position, description, quantity, unit_price, tax_rate)
         SELECT $1, position, description, quantity, unit_price, tax_rate
         FROM unnest($2::text[], $3::numeric[], $4::numeric[], $5::numeric[])
             WITH ORDINALITY line(description, quantity, unit_price, tax_rate, position)",
    )
    .bind(id)
    .bind(lines.iter().map(|line| line.description.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.unit_price).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.tax_rate).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
