//! Deals.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::custom;

const FIELDS: &str = "id, title, company_id, contact_id, stage, amount, currency::text AS currency, custom, version";

/// A deal.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Deal {
    /// Its id.
    pub id: Uuid,
    /// What is sold.
    pub title: String,
    /// To which company.
    pub company_id: Option<Uuid>,
    /// To whom.
    pub contact_id: Option<Uuid>,
    /// Stage, such as `Lead`, `Qualified`, `Proposal`, `Won` or `Lost`; `Lead` without it.
    pub stage: String,
    /// Amount as a decimal such as `1250.00`; with a currency.
    pub amount: Option<Amount>,
    /// Currency by ISO 4217, such as `EUR`.
    pub currency: Option<Currency>,
    /// Fields of the tenant's own.
    pub custom: Value,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of a deal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DealInput {
    /// What is sold.
    title: String,
    /// To which company.
    company_id: Option<Uuid>,
    /// To whom.
    contact_id: Option<Uuid>,
    /// Stage, such as `Lead`, `Qualified`, `Proposal`, `Won` or `Lost`; `Lead` without it.
    stage: Option<String>,
    /// Amount as a decimal such as `1250.00`; with a currency.
    amount: Option<Amount>,
    /// Currency by ISO 4217, such as `EUR`.
    currency: Option<Currency>,
    /// Fields of the tenant's own.
    custom: Option<Value>,
}

impl DealInput {
    fn check(&self) -> Result<(), Problem> {
        if self.amount.is_some() == self.currency.is_some() {
            return Ok(());
        }
        Err(Problem::invalid("currency: must be given with amount, and only with it"))
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, delete))
}

/// A page of deals, oldest first.
#[utoipa::path(get, path = "/", tag = "deals", params(PageQuery), responses((status = 200, body = Page<Deal>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Deal>>, Problem> {
    Ok(Json(page.read(&caller, &app, &format!("{FIELDS} FROM deal"), "id", |one: &Deal| one.id).await?))
}

/// Makes a deal.
#[utoipa::path(post, path = "/", tag = "deals", request_body = DealInput, responses((status = 201, body = Deal), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<DealInput>,
) -> Result<(StatusCode, Json<Deal>), Problem> {
    input.check()?;
    let query = format!(
        "INSERT INTO deal (id, custom, title, company_id, contact_id, stage, amount, currency) VALUES ($1, $2, $3, $4, $5, coalesce($6, 'Lead'), $7, $8) RETURNING {FIELDS}"
    );
    let custom = custom::checked(&caller, &app, custom::Kind::Deal, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let made = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(Uuid::now_v7())
        .bind(custom)
        .bind(input.title)
        .bind(input.company_id)
        .bind(input.contact_id)
        .bind(input.stage)
        .bind(input.amount)
        .bind(input.currency)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// One deal.
#[utoipa::path(get, path = "/{id}", tag = "deals", responses((status = 200, body = Deal), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Deal>, Problem> {
    let query = format!("SELECT {FIELDS} FROM deal WHERE id = $1");
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *transaction).await?;
    found.map(Json).ok_or_else(|| untouched(false, "deal"))
}

/// Replaces a deal, with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{id}", tag = "deals", params(IfMatch), request_body = DealInput, responses((status = 200, body = Deal), (status = 404), (status = 412)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<DealInput>,
) -> Result<Json<Deal>, Problem> {
    input.check()?;
    let expected = expected_version(&headers)?;
    let query = format!(
        "UPDATE deal SET custom = $2, (title, company_id, contact_id, stage, amount, currency) = ROW($3, $4, $5, coalesce($6, 'Lead'), $7, $8), version = version + 1
         WHERE id = $1 AND version = coalesce($9, version) RETURNING {FIELDS}"
    );
    let custom = custom::checked(&caller, &app, custom::Kind::Deal, input.custom)?;
    let mut transaction = caller.begin(&app).await?;
    let changed: Option<Deal> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(custom)
        .bind(input.title)
        .bind(input.company_id)
        .bind(input.contact_id)
        .bind(input.stage)
        .bind(input.amount)
        .bind(input.currency)
        .bind(expected)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(changed) = changed else {
        let exists = sqlx::query("SELECT FROM deal WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
        return Err(untouched(exists.is_some(), "deal"));
    };
    transaction.commit().await?;
    Ok(Json(changed))
}

/// Deletes a deal.
#[utoipa::path(delete, path = "/{id}", tag = "deals", responses((status = 204), (status = 404), (status = 409)))]
async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    let mut transaction = caller.begin(&app).await?;
    let deleted = sqlx::query("DELETE FROM deal WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    if deleted.rows_affected() == 0 {
        return Err(untouched(false, "deal"));
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
