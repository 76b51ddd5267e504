//! Reports: the trial balance, and what is open by age.

use axum::extract::State;
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Problem, Query,
    date::Date,
    page::{Page, PageQuery},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{invoices::INVOICING, journal::LEDGER};

/// Up to which day.
#[derive(Deserialize, IntoParams)]
struct OnQuery {
    /// The last day that counts; today without it.
    on: Option<Date>,
}

/// What an account stands at.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Balance {
    /// Code of the account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// The currency.
    pub currency: Currency,
    /// Sum of the debits.
    pub debit: Amount,
    /// Sum of the credits.
    pub credit: Amount,
    /// Debits less credits.
    pub balance: Amount,
}

/// What a customer owes, by how long it is overdue.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Age {
    /// Who is to pay.
    pub customer: String,
    /// The currency.
    pub currency: Currency,
    /// Not due yet.
    pub current: Amount,
    /// Up to 30 days overdue.
    pub days_30: Amount,
    /// 31 to 60 days overdue.
    pub days_60: Amount,
    /// Longer overdue.
    pub older: Amount,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(trial_balance)).routes(routes!(ageing))
}

/// What each account stands at in each currency. Debits and credits are equal over all of it.
#[utoipa::path(get, path = "/trial-balance", tag = "reports", params(OnQuery), responses((status = 200, body = Vec<Balance>)))]
async fn trial_balance(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<OnQuery>,
) -> Result<Json<Vec<Balance>>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    let mut transaction = caller.begin(&app).await?;
    let balances = sqlx::query_as(
        "SELECT l.account, a.name, e.currency::text AS currency, sum(debit) AS debit, sum(credit) AS credit,
                sum(debit) - sum(credit) AS balance
         FROM entry_line l JOIN entry e ON e.id = l.entry_id JOIN account a ON a.code = l.account
         WHERE e.date <= coalesce($1, current_date) GROUP BY l.account, a.name, e.currency ORDER BY l.account, e.currency",
    );
    Ok(Json(balances.bind(query.on).fetch_all(&mut *transaction).await?))
}

/// A page of what customers owe today, by how long it is overdue: of the invoices, so that their module is all that it takes.
#[utoipa::path(get, path = "/ageing", tag = "reports", params(PageQuery), responses((status = 200, body = Page<Age>)))]
async fn ageing(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Age>>, Problem> {
    caller.require_module(&app.config.service, INVOICING)?;
    let select = "* FROM (WITH open AS (
             SELECT customer, currency::text AS currency, current_date - due_on AS late,
                    t.net + t.tax - coalesce((SELECT sum(amount) FROM payment p WHERE p.invoice_id = i.id AND reversal_id IS NULL), 0) AS amount
             FROM invoice i JOIN invoice_total t ON t.invoice_id = i.id WHERE status = 'Issued')
         SELECT customer, currency, coalesce(sum(amount) FILTER (WHERE late <= 0), 0) AS current,
                coalesce(sum(amount) FILTER (WHERE late BETWEEN 1 AND 30), 0) AS days_30,
                coalesce(sum(amount) FILTER (WHERE late BETWEEN 31 AND 60), 0) AS days_60,
                coalesce(sum(amount) FILTER (WHERE late > 60), 0) AS older
         FROM open GROUP BY customer, currency) AS aged";
    let keys = ["customer", "currency"];
    Ok(Json(page.read_by(&caller, &app, select, keys, |one: &Age| [&one.customer, one.currency.as_str()]).await?))
}
