//! What services ask for that call others on a person's behalf.

use axum::{Router, extract::State, routing::post};
use easycode_contract::delegation::{DELEGATIONS_PATH, Delegation, Wanted};
use easycode_kit::{
    App, Json, Problem,
    workload::{AskingService, Workloads},
};

use crate::delegations;

/// The routes.
pub fn router(workloads: Workloads) -> Router<App> {
    Router::new().route(DELEGATIONS_PATH, post(delegate)).layer(axum::Extension(workloads))
}

/// Gives a token by which the service that asks can call others on the person's behalf.
async fn delegate(
    AskingService(service): AskingService,
    State(app): State<App>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Delegation>, Problem> {
    Ok(Json(delegations::give(&app, &service, &wanted.subject_token).await?))
}
