//! What other services have to be told of a record: written in the same transaction as the record, told after it, and told again
//! until the other service has answered. What is told of one record is told in order: what follows waits for what comes before, be that
//! about another record. So nothing is lost when one of the two dies, and the id of a delivery, which is its idempotency key, makes
//! that nothing happens twice.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    App, Caller, Json, Path, Problem, TenantTransaction,
    guard::{ADMINISTRATOR, Configuring},
    peer::{self, Unserved},
    postings::{FINANCE, keeps_books},
};

/// The table, to be put before a service's first migration.
pub const TABLE: &str = include_str!("outbox.sql");
/// What came to the table later, to be put among a service's migrations.
pub const FOLLOWS: &str = include_str!("outbox_follows.sql");
/// Most deliveries that one request carries out, and most of those that are about other records than its own.
const MOST: usize = 20;
const OTHERS: usize = 3;

/// What another service has to be told, or was.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// The record that it is about.
    pub subject: Uuid,
    /// Which service.
    pub service: String,
    /// `Pending`, `Done`, `Refused`, or `Dismissed` after someone saw to it otherwise.
    pub state: String,
    /// Why it is not done.
    pub detail: String,
    /// What the service answered.
    #[serde(skip)]
    pub answer: Option<Value>,
    /// Whether someone is just telling it.
    #[serde(skip)]
    pub claimed: bool,
    #[serde(skip)]
    path: String,
    #[serde(skip)]
    body: Value,
}

const FIELDS: &str = "id, subject, service, state, detail, answer, path, body, claimed_until > now() AS claimed";
/// What someone has to see to: what was refused, and what waits for a service that is not among those that can be told.
const STUCK: &str = "(state = 'Refused' OR state = 'Pending' AND service <> ALL($1))";

/// The routes that show what others were not told, for a service to add to its own.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pending))
        .routes(routes!(refused))
        .routes(routes!(dismiss))
        .routes(routes!(retry))
}

/// What other services were not told yet, the first hundred.
#[utoipa::path(get, path = "/deliveries/pending", tag = "deliveries", responses((status = 200, body = Vec<Delivery>)))]
async fn pending(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Delivery>>, Problem> {
    let query = format!("SELECT {FIELDS} FROM delivery WHERE state = 'Pending' ORDER BY id LIMIT 100");
    let mut transaction = caller.begin(&app).await?;
    Ok(Json(sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(&mut *transaction).await?))
}

/// What other services have refused: someone has to mend what is wrong and have it told again, or to dismiss it. With it what is
/// `Pending` to a service that the tenant is not entitled to: it waits until the tenant is, or it is dismissed. The first hundred.
#[utoipa::path(get, path = "/deliveries/refused", tag = "deliveries", responses((status = 200, body = Vec<Delivery>)))]
async fn refused(Configuring(caller): Configuring, State(app): State<App>) -> Result<Json<Vec<Delivery>>, Problem> {
    let query = format!("SELECT {FIELDS} FROM delivery WHERE {STUCK} ORDER BY id LIMIT 100");
    let mut transaction = caller.begin(&app).await?;
    let stuck = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(served(&caller)).fetch_all(&mut *transaction).await?;
    Ok(Json(stuck))
}

/// Notes that someone saw to it otherwise, so that what follows is told: to a refusal, or to what is `Pending` to a service that the
/// tenant is not entitled to.
#[utoipa::path(post, path = "/deliveries/{id}/dismissal", tag = "deliveries", responses((status = 200, body = Delivery), (status = 403), (status = 404)))]
async fn dismiss(
    Configuring(caller): Configuring,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<Json<Delivery>, Problem> {
    see_to(&caller, &app, id, "Dismissed").await
}

/// Has a refusal told again, after what was wrong is mended.
#[utoipa::path(post, path = "/deliveries/{id}/retry", tag = "deliveries", responses((status = 200, body = Delivery), (status = 403), (status = 404)))]
async fn retry(
    Configuring(caller): Configuring,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<Json<Delivery>, Problem> {
    see_to(&caller, &app, id, "Pending").await
}

async fn see_to(caller: &Caller, app: &App, id: Uuid, state: &str) -> Result<Json<Delivery>, Problem> {
    caller.require_role(ADMINISTRATOR)?;
    let mut transaction = caller.begin(app).await?;
    // Not while someone is telling it, who may not know yet that it can't be told: what was done is not to be called dismissed.
    let query = format!(
        "UPDATE delivery SET state = $3 WHERE id = $2 AND {STUCK} AND claimed_until < now() RETURNING {FIELDS}"
    );
    let seen = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(served(caller))
        .bind(id)
        .bind(state)
        .fetch_optional(&mut *transaction)
        .await?;
    let seen = seen.ok_or_else(|| {
        Problem::not_found(
            "there is no such delivery that was refused, or waits for what the tenant is not entitled to",
        )
    })?;
    transaction.commit().await?;
    Ok(Json(seen))
}

/// The services that can be told something for the tenant; Finance only with its ledger, to which all goes that it is told.
fn served(caller: &Caller) -> Vec<&str> {
    let entitled = caller.context.entitlements.keys().map(String::as_str);
    entitled.filter(|service| *service != FINANCE || keeps_books(caller)).collect()
}

/// Adds a delivery about a record.
pub async fn add(
    transaction: &mut TenantTransaction,
    subject: Uuid,
    service: &str,
    path: &str,
    body: &Value,
) -> Result<(), Problem> {
    insert(transaction, (subject, None), service, path, body).await
}

/// Notes that what follows from the answer to a delivery was seen to.
pub async fn see_through(transaction: &mut TenantTransaction, id: Uuid) -> Result<(), Problem> {
    sqlx::query("UPDATE delivery SET answer = answer || '{\"booked\": true}' WHERE id = $1")
        .bind(id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Adds a delivery about a record that is not to be told before another about another record.
pub async fn add_following(
    transaction: &mut TenantTransaction,
    subject: Uuid,
    before: &Delivery,
    service: &str,
    path: &str,
    body: &Value,
) -> Result<(), Problem> {
    insert(transaction, (subject, Some(before.id)), service, path, body).await
}

async fn insert(
    transaction: &mut TenantTransaction,
    (subject, follows): (Uuid, Option<Uuid>),
    service: &str,
    path: &str,
    body: &Value,
) -> Result<(), Problem> {
    sqlx::query("INSERT INTO delivery (id, subject, follows, service, path, body) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(Uuid::now_v7())
        .bind(subject)
        .bind(follows)
        .bind(service)
        .bind(path)
        .bind(body)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The deliveries about a record, oldest first.
pub async fn about(transaction: &mut TenantTransaction, subject: Uuid) -> Result<Vec<Delivery>, Problem> {
    let query = format!("SELECT {FIELDS} FROM delivery WHERE subject = $1 ORDER BY id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(subject).fetch_all(&mut **transaction).await?)
}

/// Carries out what is pending about a record, and then some of what is pending about others, on behalf of the caller. A service
/// that is away is asked again by a later call, as is one that refuses this caller for want of a role, or the tenant for want of
/// an entitlement.
pub async fn deliver(app: &App, caller: &Caller, subject: Option<Uuid>) -> Result<(), Problem> {
    let mut away = Vec::new();
    if subject.is_some() {
        deliver_some(app, caller, subject, MOST, &mut away).await?;
        return deliver_some(app, caller, None, OTHERS, &mut away).await;
    }
    deliver_some(app, caller, None, MOST, &mut away).await
}

/// Carries out so many, but for those to services that are away. Nothing is locked while another service is waited for; a claim
/// keeps others from telling the same meanwhile, and runs out should this process die.
async fn deliver_some(
    app: &App,
    caller: &Caller,
    subject: Option<Uuid>,
    most: usize,
    away: &mut Vec<String>,
) -> Result<(), Problem> {
    let claim = format!(
        "UPDATE delivery SET claimed_until = now() + interval '15 seconds', attempts = attempts + 1
         WHERE id = (
             SELECT id FROM delivery d
             WHERE state = 'Pending' AND subject = coalesce($1, subject) AND claimed_until < now() AND service <> ALL($2)
                 AND NOT EXISTS (SELECT FROM delivery e
                                 WHERE e.subject = d.subject AND e.id < d.id AND e.state IN ('Pending', 'Refused'))
                 AND NOT EXISTS (SELECT FROM delivery e WHERE e.id = d.follows AND e.state IN ('Pending', 'Refused'))
             ORDER BY attempts, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING {FIELDS}"
    );
    for _ in 0..most {
        let mut transaction = caller.begin(app).await?;
        let claimed: Option<Delivery> = sqlx::query_as(sqlx::AssertSqlSafe(claim.clone()))
            .bind(subject)
            .bind(&*away)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let Some(delivery) = claimed else { return Ok(()) };
        let key = delivery.id.to_string();
        let outcome = peer::post(app, caller, &delivery.service, &delivery.path, &key, &delivery.body).await;
        let (state, detail, answer) = match outcome {
            Ok(answer) => ("Done", String::new(), Some(answer)),
            Err(Unserved::Refused { status: 401 | 403, detail }) => ("Pending", detail, None),
            Err(Unserved::Refused { detail, .. }) => ("Refused", detail, None),
            Err(Unserved::NotEntitled) => ("Pending", "the tenant is not entitled to it".to_owned(), None),
            Err(Unserved::Away(why)) => ("Pending", why, None),
        };
        if state == "Pending" {
            away.push(delivery.service);
        }
        let mut transaction = caller.begin(app).await?;
        sqlx::query(
            "UPDATE delivery SET state = $2, detail = $3, answer = $4, claimed_until = '-infinity'
             WHERE id = $1 AND state = 'Pending'",
        )
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn finance_without_its_ledger_can_be_told_nothing() {
        let mut ada = Caller::of_nowhere(&App::of_nowhere(Config::of_nowhere()), &[], "ada");
        assert_eq!(served(&ada), ["inventory", "pos"]);
        for (module, services) in
            [("invoicing", &["inventory", "pos"][..]), ("ledger", &["finance", "inventory", "pos"])]
        {
            let modules = BTreeSet::from([module.to_owned()]);
            Arc::make_mut(&mut ada.context).entitlements.insert(FINANCE.to_owned(), modules);
            assert_eq!(served(&ada), services, "{module}");
        }
    }
}
