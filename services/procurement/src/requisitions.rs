//! Requisitions: what someone asks for, and who lets it be bought.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use easycode_kit::{
    Amount, App, Caller, Currency, Json, Path, Problem, Quantity, Query, TenantTransaction,
    page::{Page, PageQuery},
    record::{self, IfMatch, expected_version, untouched},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{BUYER, REQUESTER, workflow};

/// A requisition.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Requisition {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub title: String,
    /// Its currency.
    pub currency: Currency,
    /// `Draft`, `Submitted`, `Approved`, `Rejected` or `Ordered`.
    pub status: String,
    /// Who asks.
    pub requested_by: String,
    /// What it comes to.
    pub total: Amount,
    /// Grows with each change; a decision names it in `If-Match`, so that nobody decides on what they did not see.
    pub version: i32,
    /// What is asked for; not in lists.
    #[sqlx(skip)]
    pub lines: Vec<RequisitionLine>,
    /// The approvals that it needs, in their order; not in lists.
    #[sqlx(skip)]
    pub approvals: Vec<Approval>,
}

/// A line of a requisition.
#[derive(Clone, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RequisitionLine {
    /// The item in Inventory, if it is to be received there.
    pub sku: Option<String>,
    /// What it is.
    pub description: String,
    /// How much.
    pub quantity: Quantity,
    /// What one of it is expected to cost.
    pub unit_price: Amount,
}

/// A step of the workflow.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who may decide: whoever has the role, but not who asks.
    pub role: String,
    /// `Approved` or `Rejected`, once decided.
    pub decision: Option<String>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
}

/// What a caller asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequisitionInput {
    /// What it is for.
    title: String,
    /// Its currency.
    currency: Currency,
    /// What is asked for, 1 to 200 lines.
    lines: Vec<RequisitionLine>,
}

/// A decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionInput {
    /// Whether it may be bought.
    approve: bool,
    /// Why, or why not.
    comment: Option<String>,
}

const FIELDS: &str = "id, title, currency::text AS currency, status, requested_by, version,
    coalesce((SELECT sum(round(quantity * unit_price, 2)) FROM requisition_line WHERE requisition_id = id), 0) AS total FROM requisition";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace))
        .routes(routes!(submit))
        .routes(routes!(withdraw))
        .routes(routes!(decide))
        .routes(routes!(awaiting))
}

/// A page of requisitions, oldest first, without lines and approvals.
#[utoipa::path(get, path = "/", tag = "requisitions", params(PageQuery), responses((status = 200, body = Page<Requisition>)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Requisition>>, Problem> {
    Ok(Json(page.read(&caller, &app, FIELDS, "id", |one: &Requisition| one.id).await?))
}

/// Those of which the next step waits for the caller, oldest first, at most 100, without lines and approvals.
#[utoipa::path(get, path = "/awaiting", tag = "requisitions", responses((status = 200, body = Vec<Requisition>)))]
async fn awaiting(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Requisition>>, Problem> {
    let query = format!(
        "SELECT {FIELDS} WHERE status = 'Submitted' AND requested_by <> $1
             AND (SELECT role FROM approval WHERE requisition_id = requisition.id AND decision IS NULL
                  ORDER BY position LIMIT 1) = ANY ($2)
             AND NOT EXISTS (SELECT FROM approval WHERE requisition_id = requisition.id AND decided_by = $1)
         ORDER BY id LIMIT 100"
    );
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(&caller.subject)
        .bind(caller.roles.iter().map(String::as_str).collect::<Vec<_>>())
        .fetch_all(&mut *caller.begin(&app).await?)
        .await?;
    Ok(Json(found))
}

/// One requisition.
#[utoipa::path(get, path = "/{id}", tag = "requisitions", responses((status = 200, body = Requisition), (status = 404)))]
async fn read(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Requisition>, Problem> {
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(find(&mut transaction, id).await?))
}

/// Drafts a requisition.
#[utoipa::path(post, path = "/", tag = "requisitions", request_body = RequisitionInput, responses((status = 201, body = Requisition), (status = 422)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<RequisitionInput>,
) -> Result<(StatusCode, Json<Requisition>), Problem> {
    caller.require_any_role(&[REQUESTER, BUYER])?;
    let id = Uuid::now_v7();
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("INSERT INTO requisition (id, title, currency, requested_by) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(&input.title)
        .bind(&input.currency)
        .bind(&caller.subject)
        .execute(&mut *transaction)
        .await?;
    write_lines(&mut transaction, id, &input.lines).await?;
    let made = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Replaces a draft, or one that was rejected, which is a draft again by it.
#[utoipa::path(put, path = "/{id}", tag = "requisitions", request_body = RequisitionInput, responses((status = 200, body = Requisition), (status = 404), (status = 409)))]
async fn replace(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(input): Json<RequisitionInput>,
) -> Result<Json<Requisition>, Problem> {
    caller.require_any_role(&[REQUESTER, BUYER])?;
    let mut transaction = caller.begin(&app).await?;
    let (status, requester) = locked(&mut transaction, id).await?;
    own(&caller, &requester)?;
    if !["Draft", "Rejected"].contains(&status.as_str()) {
        return Err(Problem::conflict(format!("it is {status}; only a draft, or what was rejected, can be changed")));
    }
    sqlx::query(
        "UPDATE requisition SET title = $2, currency = $3, status = 'Draft', version = version + 1 WHERE id = $1",
    )
    .bind(id)
    .bind(&input.title)
    .bind(&input.currency)
    .execute(&mut *transaction)
    .await?;
    for table in ["approval", "requisition_line"] {
        let delete = format!("DELETE FROM {table} WHERE requisition_id = $1");
        sqlx::query(sqlx::AssertSqlSafe(delete)).bind(id).execute(&mut *transaction).await?;
    }
    write_lines(&mut transaction, id, &input.lines).await?;
    let changed = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(changed))
}

/// Submits a draft. The steps that it needs are those of the tenant's workflow now; without any it is approved at once.
#[utoipa::path(post, path = "/{id}/submission", tag = "requisitions", responses((status = 200, body = Requisition), (status = 404), (status = 409)))]
async fn submit(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Requisition>, Problem> {
    caller.require_any_role(&[REQUESTER, BUYER])?;
    let mut transaction = caller.begin(&app).await?;
    let (status, requester) = locked(&mut transaction, id).await?;
    own(&caller, &requester)?;
    if status != "Draft" {
        return Err(Problem::conflict(format!("it is {status}; only a draft can be submitted")));
    }
    let draft = find(&mut transaction, id).await?;
    let roles = workflow::steps(&caller, &app.config.service, draft.total, &draft.currency)?;
    sqlx::query(
        "INSERT INTO approval (requisition_id, position, role)
         SELECT $1, position, role FROM unnest($2::text[]) WITH ORDINALITY step(role, position)",
    )
    .bind(id)
    .bind(&roles)
    .execute(&mut *transaction)
    .await?;
    set_status(&mut transaction, id, if roles.is_empty() { "Approved" } else { "Submitted" }).await?;
    let submitted = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(submitted))
}

/// Takes a submitted requisition back: it is a draft again, and what was decided of it counts no more.
#[utoipa::path(post, path = "/{id}/withdrawal", tag = "requisitions", responses((status = 200, body = Requisition), (status = 403), (status = 404), (status = 409)))]
async fn withdraw(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Requisition>, Problem> {
    caller.require_any_role(&[REQUESTER, BUYER])?;
    let mut transaction = caller.begin(&app).await?;
    let (status, requester) = locked(&mut transaction, id).await?;
    own(&caller, &requester)?;
    if status != "Submitted" {
        return Err(Problem::conflict(format!("it is {status}; only what is submitted can be taken back")));
    }
    sqlx::query("DELETE FROM approval WHERE requisition_id = $1").bind(id).execute(&mut *transaction).await?;
    set_status(&mut transaction, id, "Draft").await?;
    let draft = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(draft))
}

/// Decides the next step; with `If-Match` only on the version that the caller has seen. Nobody decides on what they asked for
/// themselves, and nobody twice on the same.
#[utoipa::path(post, path = "/{id}/decision", tag = "requisitions", params(IfMatch), request_body = DecisionInput, responses((status = 200, body = Requisition), (status = 403), (status = 404), (status = 409)))]
async fn decide(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(input): Json<DecisionInput>,
) -> Result<Json<Requisition>, Problem> {
    let expected = expected_version(&headers)?;
    let mut transaction = caller.begin(&app).await?;
    let (status, requester) = locked(&mut transaction, id).await?;
    if status != "Submitted" {
        return Err(Problem::conflict(format!("it is {status}; there is nothing to decide")));
    }
    if requester == caller.subject {
        return Err(Problem::forbidden("own-request", "nobody decides on what they asked for themselves"));
    }
    let before = find(&mut transaction, id).await?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(untouched(true, "requisition"));
    }
    let next = before.approvals.iter().position(|step| step.decision.is_none()).ok_or_else(Problem::internal)?;
    caller.require_role(&before.approvals[next].role)?;
    if before.approvals.iter().any(|step| step.decided_by.as_ref() == Some(&caller.subject)) {
        return Err(Problem::forbidden("decided-already", "the next step is for someone else than the one before"));
    }
    let decision = if input.approve { "Approved" } else { "Rejected" };
    sqlx::query(
        "UPDATE approval SET decision = $3, decided_by = $4, comment = $5, decided_at = now()
         WHERE requisition_id = $1 AND position = $2",
    )
    .bind(id)
    .bind(i32::try_from(next + 1).unwrap_or(i32::MAX))
    .bind(decision)
    .bind(&caller.subject)
    .bind(&input.comment)
    .execute(&mut *transaction)
    .await?;
    let ends = !input.approve || next + 1 == before.approvals.len();
    set_status(&mut transaction, id, if ends { decision } else { "Submitted" }).await?;
    let decided = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Json(decided))
}

fn own(caller: &Caller, requester: &str) -> Result<(), Problem> {
    if caller.subject == requester {
        return Ok(());
    }
    Err(Problem::forbidden("not-own-request", "only who asks for it can change it, submit it or take it back"))
}

/// Its status and who asks, unchanged by anyone else until the transaction ends.
pub(crate) async fn locked(transaction: &mut TenantTransaction, id: Uuid) -> Result<(String, String), Problem> {
    let found = sqlx::query_as("SELECT status, requested_by FROM requisition WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await?;
    found.ok_or_else(|| untouched(false, "requisition"))
}

pub(crate) async fn set_status(transaction: &mut TenantTransaction, id: Uuid, status: &str) -> Result<(), Problem> {
    sqlx::query("UPDATE requisition SET status = $2, version = version + 1 WHERE id = $1")
        .bind(id)
        .bind(status)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Requisition, Problem> {
    let query = format!("SELECT {FIELDS} WHERE id = $1");
    let found: Option<Requisition> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut **transaction).await?;
    let mut requisition = found.ok_or_else(|| untouched(false, "requisition"))?;
    requisition.lines = sqlx::query_as(
        "SELECT sku, description, quantity, unit_price FROM requisition_line WHERE requisition_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    requisition.approvals = sqlx::query_as(
        "SELECT role, decision, decided_by, comment FROM approval WHERE requisition_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    Ok(requisition)
}

async fn write_lines(transaction: &mut TenantTransaction, id: Uuid, lines: &[RequisitionLine]) -> Result<(), Problem> {
    record::bounded(lines.len(), 1)?;
    sqlx::query(
        "INSERT INTO requisition_line (requisition_id, position, sku, description, quantity, unit_price)
         SELECT $1, position, sku, description, quantity, unit_price
         FROM unnest($2::text[], $3::text[], $4::numeric[], $5::numeric[])
             WITH ORDINALITY line(sku, description, quantity, unit_price, position)",
    )
    .bind(id)
    .bind(lines.iter().map(|line| line.sku.as_deref()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.description.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.unit_price).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
