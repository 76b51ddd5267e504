//! What other services have to be told of a record: written in the same transaction as the record, told after it, and told again
//! until the other service has answered. What is told of one record is told in order: what follows waits for what comes before. So nothing is lost when one of the two dies, and the id of a delivery, which is its
//! idempotency key, makes that nothing happens twice.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    App, Caller, Json, Path, Problem, TenantTransaction,
    peer::{self, Unserved},
};

/// The table, to be put before a service's first migration.
pub const TABLE: &str = include_str!("outbox.sql");
/// Who sees to refusals.
const ADMINISTRATOR: &str = "tenant-admin";
/// Most deliveries that one request carries out.
const MOST: usize = 20;

/// What another service has to be told, or was.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// The record that it is about.
    pub subject: Uuid,
    /// Which service.
    pub service: String,
    /// `Pending`, `Done`, `NotEntitled`, `Refused`, or `Dismissed` after someone saw to a refusal.
    pub state: String,
    /// Why it is not done.
    pub detail: String,
    /// What the service answered.
    #[serde(skip)]
    pub answer: Option<Value>,
    #[serde(skip)]
    path: String,
    #[serde(skip)]
    body: Value,
}

const FIELDS: &str = "id, subject, service, state, detail, answer, path, body";

/// The routes that show what others were not told, for a service to add to its own.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(pending)).routes(routes!(refused)).routes(routes!(dismiss))
}

/// What other services were not told yet, the first hundred.
#[utoipa::path(get, path = "/deliveries/pending", tag = "deliveries", responses((status = 200, body = Vec<Delivery>)))]
async fn pending(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Delivery>>, Problem> {
    in_state(&caller, &app, "Pending").await
}

/// What other services have refused: someone has to see to it, and then to dismiss it. The first hundred.
#[utoipa::path(get, path = "/deliveries/refused", tag = "deliveries", responses((status = 200, body = Vec<Delivery>)))]
async fn refused(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Delivery>>, Problem> {
    in_state(&caller, &app, "Refused").await
}

/// Notes that someone saw to a refusal, so that what follows is told.
#[utoipa::path(post, path = "/deliveries/{id}/dismissal", tag = "deliveries", responses((status = 200, body = Delivery), (status = 403), (status = 404)))]
async fn dismiss(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Delivery>, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    let mut transaction = caller.begin(&app).await?;
    let query =
        format!("UPDATE delivery SET state = 'Dismissed' WHERE id = $1 AND state = 'Refused' RETURNING {FIELDS}");
    let dismissed = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *transaction).await?;
    let dismissed = dismissed.ok_or_else(|| Problem::not_found("there is no such delivery that was refused"))?;
    transaction.commit().await?;
    Ok(Json(dismissed))
}

async fn in_state(caller: &Caller, app: &App, state: &str) -> Result<Json<Vec<Delivery>>, Problem> {
    let query = format!("SELECT {FIELDS} FROM delivery WHERE state = $1 ORDER BY id LIMIT 100");
    let mut transaction = caller.begin(app).await?;
    Ok(Json(sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(state).fetch_all(&mut *transaction).await?))
}

/// Adds a delivery about a record.
pub async fn add(
    transaction: &mut TenantTransaction,
    subject: Uuid,
    service: &str,
    path: &str,
    body: &impl Serialize,
) -> Result<(), Problem> {
    sqlx::query("INSERT INTO delivery (id, subject, service, path, body) VALUES ($1, $2, $3, $4, $5)")
        .bind(Uuid::now_v7())
        .bind(subject)
        .bind(service)
        .bind(path)
        .bind(serde_json::to_value(body).map_err(|_| Problem::internal())?)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The deliveries about a record, oldest first.
pub async fn about(transaction: &mut TenantTransaction, subject: Uuid) -> Result<Vec<Delivery>, Problem> {
    let query = format!("SELECT {FIELDS} FROM delivery WHERE subject = $1 ORDER BY id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(subject).fetch_all(&mut **transaction).await?)
}

/// Carries out what is pending, about one record or any, on behalf of the caller. A service that is away is asked again by a later
/// call, as is one that refuses this caller for want of a role.
pub async fn deliver(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<(), Problem> {
    // Locked while it is under way, so that nobody else carries it out at the same time.
    let next = format!(
        "SELECT {FIELDS} FROM delivery d WHERE state = 'Pending' AND subject = coalesce($1, subject) AND id > $2
             AND NOT EXISTS (SELECT FROM delivery e
                             WHERE e.subject = d.subject AND e.id < d.id AND e.state IN ('Pending', 'Refused'))
         ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    let mut after = Uuid::nil();
    for _ in 0..MOST {
        let mut transaction = caller.begin(app).await?;
        let found: Option<Delivery> = sqlx::query_as(sqlx::AssertSqlSafe(next.clone()))
            .bind(subject)
            .bind(after)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(delivery) = found else { return Ok(()) };
        after = delivery.id;
        let key = delivery.id.to_string();
        let outcome = peer::post::<Value>(app, caller, &delivery.service, &delivery.path, &key, &delivery.body).await;
        let (state, detail, answer) = match outcome {
            Ok(answer) => ("Done", String::new(), Some(answer)),
            Err(Unserved::NotEntitled) => ("NotEntitled", "the tenant is not entitled to it".to_owned(), None),
            Err(Unserved::Away(why)) => ("Pending", why, None),
            Err(Unserved::Refused { status: 401 | 403, detail }) => ("Pending", detail, None),
            Err(Unserved::Refused { detail, .. }) => ("Refused", detail, None),
        };
        sqlx::query("UPDATE delivery SET state = $2, detail = $3, answer = $4, attempts = attempts + 1 WHERE id = $1")
            .bind(delivery.id)
            .bind(state)
            .bind(detail)
            .bind(answer)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}
