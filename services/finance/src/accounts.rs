//! The chart of accounts.

use axum::{extract::State, http::HeaderMap};
use easycode_kit::{
    App, Caller, Json, Path, Problem, Query,
    page::{Page, PageQuery},
    record::{IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{MANAGER, journal::LEDGER};

/// An account.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Account {
    /// Its code, such as `1000`: what entries name.
    pub code: String,
    /// Its name.
    pub name: String,
    /// `Asset`, `Liability`, `Equity`, `Income` or `Expense`.
    pub kind: String,
    /// Whether nothing may be posted to it any more.
    pub closed: bool,
    /// Grows with each change; send it as `If-Match`.
    pub version: i32,
}

/// What a caller says of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountInput {
    /// Its name.
    name: String,
    /// `Asset`, `Liability`, `Equity`, `Income` or `Expense`; can't be changed once something is posted.
    kind: String,
    /// Whether nothing may be posted to it any more.
    #[serde(default)]
    closed: bool,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, put))
}

/// A page of accounts, by code.
#[utoipa::path(get, path = "/", tag = "accounts", params(PageQuery), responses((status = 200, body = Page<Account>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Account>>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    let select = "code, name, kind, closed, version FROM account";
    Ok(Json(page.read_by(&caller, &app, select, ["code"], |one: &Account| [&one.code]).await?))
}

/// One account.
#[utoipa::path(get, path = "/{code}", tag = "accounts", responses((status = 200, body = Account), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(code): Path<String>) -> Result<Json<Account>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    let mut transaction = caller.begin(&app).await?;
    let found = sqlx::query_as("SELECT code, name, kind, closed, version FROM account WHERE code = $1")
        .bind(code)
        .fetch_optional(&mut *transaction)
        .await?;
    found.map(Json).ok_or_else(|| untouched(false, "account"))
}

/// Makes an account, or changes it; with `If-Match` only the version that the caller has seen.
#[utoipa::path(put, path = "/{code}", tag = "accounts", params(IfMatch), request_body = AccountInput, responses((status = 200, body = Account), (status = 409), (status = 412)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path(code): Path<String>,
    headers: HeaderMap,
    Json(input): Json<AccountInput>,
) -> Result<Json<Account>, Problem> {
    caller.require_module(&app.config.service, LEDGER)?;
    caller.require_role(MANAGER)?;
    let expected = expected_version(&headers)?;
    let mut transaction = caller.begin(&app).await?;
    let present: Option<(String, i32)> = sqlx::query_as("SELECT kind, version FROM account WHERE code = $1 FOR UPDATE")
        .bind(&code)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(expected) = expected
        && present.as_ref().is_none_or(|(_, version)| *version != expected)
    {
        return Err(untouched(present.is_some(), "account"));
    }
    if present.is_some_and(|(kind, _)| kind != input.kind) {
        let used: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM entry_line WHERE account = $1)")
            .bind(&code)
            .fetch_one(&mut *transaction)
            .await?;
        if used {
            return Err(Problem::conflict(
                "kind: can't be changed, since something is posted to the account; make another",
            ));
        }
    }
    let account = sqlx::query_as(
        "INSERT INTO account (code, name, kind, closed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (code) DO UPDATE SET name = excluded.name, kind = excluded.kind, closed = excluded.closed, version = account.version + 1
         RETURNING code, name, kind, closed, version",
    )
    .bind(code)
    .bind(input.name)
    .bind(input.kind)
    .bind(input.closed)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Json(account))
}
