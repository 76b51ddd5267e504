//! Campaigns: a module that is entitled by itself.

use axum::{extract::State, http::StatusCode};
use easycode_kit::{App, Caller, Json, Path, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The module's name in entitlements.
const MODULE: &str = "campaigns";

/// A campaign.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Campaign {
    /// Its id.
    pub id: Uuid,
    /// Its name, of which there is only one.
    pub name: String,
    /// `Draft`, `Running` or `Done`.
    pub status: String,
    /// How many contacts it is for.
    pub members: i64,
}

/// What a caller says of a campaign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CampaignInput {
    /// Its name.
    name: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(add_member))
}

fn entitled(caller: &Caller, app: &App) -> Result<(), Problem> {
    caller.require_module(&app.config.service, MODULE)
}

/// The first hundred campaigns.
#[utoipa::path(get, path = "/", tag = "campaigns", responses((status = 200, body = Vec<Campaign>), (status = 403)))]
async fn list(caller: Caller, State(app): State<App>) -> Result<Json<Vec<Campaign>>, Problem> {
    entitled(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    let campaigns = sqlx::query_as(
        "SELECT id, name, status, (SELECT count(*) FROM campaign_member m WHERE m.campaign_id = c.id) AS members
         FROM campaign c ORDER BY id LIMIT 100",
    )
    .fetch_all(&mut *transaction)
    .await?;
    Ok(Json(campaigns))
}

/// Makes a campaign.
#[utoipa::path(post, path = "/", tag = "campaigns", request_body = CampaignInput, responses((status = 201, body = Campaign), (status = 403)))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(input): Json<CampaignInput>,
) -> Result<(StatusCode, Json<Campaign>), Problem> {
    entitled(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    let made = sqlx::query_as(
        "INSERT INTO campaign (id, name) VALUES ($1, $2) RETURNING id, name, status, 0::bigint AS members",
    )
    .bind(Uuid::now_v7())
    .bind(input.name)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Adds a contact to a campaign.
#[utoipa::path(put, path = "/{id}/members/{contact}", tag = "campaigns", responses((status = 204), (status = 403), (status = 409)))]
async fn add_member(
    caller: Caller,
    State(app): State<App>,
    Path((id, contact)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    entitled(&caller, &app)?;
    let mut transaction = caller.begin(&app).await?;
    sqlx::query("INSERT INTO campaign_member VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(contact)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
