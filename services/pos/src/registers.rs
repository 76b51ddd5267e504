//! Registers.

use axum::extract::State;
use easycode_kit::{
    App, Caller, Currency, Json, Path, Problem, Query,
    page::{Page, PageQuery},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::MANAGER;

/// A register.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Register {
    /// What it is called by, such as `FRONT-1`.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The currency of its drawer.
    pub currency: Currency,
}

/// What a caller says of a register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterInput {
    /// Its name.
    name: String,
    /// The currency of its drawer; can't be changed.
    currency: Currency,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put))
}

/// A page of registers, by code.
#[utoipa::path(get, path = "/", tag = "registers", params(PageQuery), responses((status = 200, body = Page<Register>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Register>>, Problem> {
    let select = "code, name, currency::text AS currency FROM register";
    Ok(Json(page.read_by(&caller, &app, select, ["code"], |one: &Register| [&one.code]).await?))
}

/// Makes a register, or renames it.
#[utoipa::path(put, path = "/{code}", tag = "registers", request_body = RegisterInput, responses((status = 200, body = Register), (status = 409), (status = 422)))]
async fn put(
    caller: Caller,
    State(app): State<App>,
    Path(code): Path<String>,
    Json(input): Json<RegisterInput>,
) -> Result<Json<Register>, Problem> {
    caller.require_role(MANAGER)?;
    let mut transaction = caller.begin(&app).await?;
    let register: Option<Register> = sqlx::query_as(
        "INSERT INTO register VALUES ($1, $2, $3) ON CONFLICT (code) DO UPDATE SET name = excluded.name
         WHERE register.currency = excluded.currency RETURNING code, name, currency::text AS currency",
    )
    .bind(code)
    .bind(input.name)
    .bind(input.currency)
    .fetch_optional(&mut *transaction)
    .await?;
    let register = register.ok_or_else(|| Problem::conflict("currency: can't be changed; make another register"))?;
    transaction.commit().await?;
    Ok(Json(register))
}
