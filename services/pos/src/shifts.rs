//! Shifts: who has a register, from the float in the drawer to what was counted at the end.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{
    Amount, App, Caller, Json, Path, Problem, Query, TenantTransaction,
    page::{Page, PageQuery},
    record::untouched,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{CASHIER, MANAGER, sales};

/// A shift.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Shift {
    /// Its id.
    pub id: Uuid,
    /// The register.
    pub register: String,
    /// Who opened it.
    pub cashier: String,
    /// What was in the drawer at the beginning.
    pub float: Amount,
    /// What should be in the drawer: the float, and cash sales less cash refunds.
    pub expected: Amount,
    /// What was counted at the end; absent while it is open.
    pub counted: Option<Amount>,
}

/// What a shift begins with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpeningInput {
    /// The register.
    register: String,
    /// What is in the drawer.
    float: Amount,
}

/// What a shift ends with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClosingInput {
    /// What is in the drawer.
    counted: Amount,
}

const FIELDS: &str = "id, register, cashier, float, counted, coalesce(expected, float
    + coalesce((SELECT sum(round(quantity * unit_price, 2)) FROM sale_line l JOIN sale s ON s.id = l.sale_id
                WHERE s.shift_id = shift.id AND s.payment = 'Cash'), 0)
    - coalesce((SELECT sum(r.amount) FROM refund r JOIN sale s ON s.id = r.sale_id
                WHERE r.shift_id = shift.id AND s.payment = 'Cash'), 0)) AS expected FROM shift";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, open)).routes(routes!(read)).routes(routes!(close))
}

/// A page of shifts, oldest first.
#[utoipa::path(get, path = "/", tag = "shifts", params(PageQuery), responses((status = 200, body = Page<Shift>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Shift>>, Problem> {
    Ok(Json(page.read(&caller, &app, FIELDS, "id", |one: &Shift| one.id).await?))
}

/// Opens a shift at a register that has none open.
#[utoipa::path(post, path = "/", tag = "shifts", request_body = OpeningInput, responses((status = 201, body = Shift), (status = 409), (status = 422)))]
async fn open(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<OpeningInput>,
) -> Result<(StatusCode, Json<Shift>), Problem> {
    caller.require_any_role(&[CASHIER, MANAGER])?;
    let id = Uuid::now_v7();
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("INSERT INTO shift (id, register, cashier, float) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(&input.register)
        .bind(&caller.subject)
        .bind(input.float)
        .execute(&mut *transaction)
        .await
        .map_err(|error| match Problem::from(error) {
            problem if problem.status == 409 => {
                Problem::conflict(format!("register: {} has a shift that is open; close that first", input.register))
            }
            problem => problem,
        })?;
    let shift = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(shift)))
}

/// One shift.
#[utoipa::path(get, path = "/{id}", tag = "shifts", responses((status = 200, body = Shift), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Shift>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Closes a shift with what was counted. Nothing is sold in it any more. Not as long as one of its sales may still be taken back.
#[utoipa::path(post, path = "/{id}/closing", tag = "shifts", request_body = ClosingInput, responses((status = 200, body = Shift), (status = 404), (status = 409), (status = 503)))]
async fn close(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(input): Json<ClosingInput>,
) -> Result<Json<Shift>, Problem> {
    caller.require_any_role(&[CASHIER, MANAGER])?;
    settle_sales(&caller, &app, id).await?;
    let mut transaction = caller.begin(&app).await?;
    // Sales hold a share of it, so what is expected is complete.
    let open = sqlx::query_scalar("SELECT closed_at IS NULL FROM shift WHERE id = $1 FOR UPDATE");
    let open: Option<bool> = open.bind(id).fetch_optional(&mut *transaction).await?;
    if !open.ok_or_else(|| untouched(false, "shift"))? {
        return Err(Problem::conflict("the shift is closed already"));
    }
    let unsettled = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sale WHERE shift_id = $1 AND NOT answered)");
    if unsettled.bind(id).fetch_one(&mut *transaction).await? {
        return Err(Problem::unavailable(
            "a sale was just taken in, and may still be taken back; close the shift again",
        ));
    }
    let shift = find(&mut transaction, id).await?;
    sqlx::query("UPDATE shift SET closed_at = now(), expected = $2, counted = $3 WHERE id = $1")
        .bind(id)
        .bind(shift.expected)
        .bind(input.counted)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Json(Shift { counted: Some(input.counted), ..shift }))
}

/// Settles all sales of a shift that no register was answered about: until then each may still be taken back.
async fn settle_sales(caller: &Caller, app: &App, shift: Uuid) -> Result<(), Problem> {
    loop {
        let open: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM sale WHERE shift_id = $1 AND NOT answered LIMIT 100")
            .bind(shift)
            .fetch_all(&mut *caller.begin(app).await?)
            .await?;
        if open.is_empty() {
            return Ok(());
        }
        for sale in open {
            let settled = sales::settle(caller, app, sale).await;
            settled.map(drop).or_else(|problem| if problem.status == 409 { Ok(()) } else { Err(problem) })?;
        }
    }
}

async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Shift, Problem> {
    let query = format!("SELECT {FIELDS} WHERE id = $1");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut **transaction).await?;
    found.ok_or_else(|| untouched(false, "shift"))
}

/// The currency of a shift's register, if the shift is open; it stays so until the transaction ends.
pub(crate) async fn open_at(transaction: &mut TenantTransaction, id: Uuid) -> Result<String, Problem> {
    let found: Option<(bool, String)> = sqlx::query_as(
        "SELECT closed_at IS NULL, r.currency::text FROM shift s JOIN register r ON r.code = s.register
         WHERE s.id = $1 FOR SHARE OF s",
    )
    .bind(id)
    .fetch_optional(&mut **transaction)
    .await?;
    match found {
        None => Err(Problem::invalid("shiftId: there is no such shift")),
        Some((false, _)) => Err(Problem::conflict("shiftId: the shift is closed; open another")),
        Some((true, currency)) => Ok(currency),
    }
}
