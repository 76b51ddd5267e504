//! Shared platforms, which the console only reads.

use axum::extract::State;
use easycode_kit::{Json, Path, Problem};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    App,
    fleet::summary::{self, PlatformSummary},
    refusal::ProblemDocument,
    session::ApiCaller,
};

/// A platform as a whole.
#[derive(Serialize, ToSchema)]
pub struct PlatformDocument {
    summary: PlatformSummary,
    /// The spec, as the resource has it.
    spec: Value,
    /// What was observed, as the resource has it.
    status: Value,
}

/// One platform.
#[utoipa::path(get, path = "/platforms/{name}", responses(
    (status = 200, body = PlatformDocument), (status = 404, body = ProblemDocument)))]
pub async fn one(
    State(app): State<App>,
    _: ApiCaller,
    Path(name): Path<String>,
) -> Result<Json<PlatformDocument>, Problem> {
    let platform = app.fleet.known_platform(&name)?;
    let summary = summary::of_platform(&platform, &app.fleet);
    Ok(Json(PlatformDocument { summary, spec: json!(platform.spec), status: json!(platform.status) }))
}
