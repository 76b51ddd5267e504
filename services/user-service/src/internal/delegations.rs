//! What services ask for that call others on a person's behalf.

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    routing::post,
};
use easycode_contract::delegation::{DELEGATIONS_PATH, Delegation, Wanted};
use easycode_kit::{App, Json, Problem, workload::Workloads};

use crate::delegations;

/// A workload of this platform or instance, by its service account's name. Services' accounts have the services' names.
struct Asking(String);

impl FromRequestParts<App> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let workloads = parts.extensions.get::<Workloads>().cloned().ok_or_else(Problem::internal)?;
        let workload = workloads.asking(&parts.headers).await?;
        if workload.namespace != app.config.namespace {
            return Err(Problem::forbidden("foreign-service", "only services of this platform are served"));
        }
        Ok(Self(workload.account().to_owned()))
    }
}

/// The routes.
pub fn router(workloads: Workloads) -> Router<App> {
    Router::new().route(DELEGATIONS_PATH, post(delegate)).layer(axum::Extension(workloads))
}

/// Gives a token by which the service that asks can call others on the person's behalf.
async fn delegate(
    Asking(service): Asking,
    State(app): State<App>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Delegation>, Problem> {
    Ok(Json(delegations::give(&app, &service, &wanted.subject_token).await?))
}
