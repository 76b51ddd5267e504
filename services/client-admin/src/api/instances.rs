//! Dedicated instances.

use axum::{extract::State, http::StatusCode};
use easycode_crds::DedicatedInstance;
use easycode_kit::{Json, Path, Problem, Query};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tenants::{Confirmation, PlanDocument, document, end};
use crate::{
    App,
    change::{self, Wanted},
    fleet::{
        query::{Found, InstanceQuery},
        summary::{self, InstanceSummary},
    },
    refusal::{ProblemDocument, Refusal},
    session::ApiCaller,
    staff::Role,
};

/// An instance as a whole.
#[derive(Serialize, ToSchema)]
pub struct InstanceDocument {
    summary: InstanceSummary,
    /// Version of the spec: what a change was made up from.
    generation: i64,
    /// The spec, as the resource has it.
    spec: Value,
    /// What was observed, as the resource has it.
    status: Value,
}

fn instance_document(instance: &DedicatedInstance) -> InstanceDocument {
    InstanceDocument {
        summary: summary::of_instance(instance),
        generation: instance.metadata.generation.unwrap_or_default(),
        spec: json!(instance.spec),
        status: json!(instance.status),
    }
}

/// A page of the instances that are asked for.
#[utoipa::path(get, path = "/instances", params(InstanceQuery), responses((status = 200, body = Found<InstanceSummary>)))]
pub async fn list(
    State(app): State<App>,
    _: ApiCaller,
    Query(query): Query<InstanceQuery>,
) -> Json<Found<InstanceSummary>> {
    Json(query.of(&app.fleet))
}

/// One instance.
#[utoipa::path(get, path = "/instances/{name}", responses(
    (status = 200, body = InstanceDocument), (status = 404, body = ProblemDocument)))]
pub async fn one(
    State(app): State<App>,
    _: ApiCaller,
    Path(name): Path<String>,
) -> Result<Json<InstanceDocument>, Problem> {
    let instance = app.fleet.known_instance(&name)?;
    Ok(Json(instance_document(&instance)))
}

/// What would come of a change. Nothing is written.
#[utoipa::path(post, path = "/instances/{name}/plan", request_body = Wanted, responses(
    (status = 200, body = PlanDocument), (status = 412, body = ProblemDocument)))]
pub async fn plan(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<PlanDocument>, Refusal> {
    let outcome = change::plan::<DedicatedInstance>(&app.client, &name, &wanted, &caller.0).await?;
    Ok(Json(document(&app, None, Some(outcome))))
}

/// Makes or changes an instance.
#[utoipa::path(put, path = "/instances/{name}", request_body = Wanted, responses(
    (status = 200, body = InstanceDocument), (status = 409, body = ProblemDocument), (status = 412, body = ProblemDocument),
    (status = 422, body = ProblemDocument)))]
pub async fn apply(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<InstanceDocument>, Refusal> {
    caller.require(Role::Operations)?;
    let instance = change::apply::<DedicatedInstance>(&app, &name, &wanted, &caller.0).await?;
    Ok(Json(instance_document(&instance)))
}

/// Deletes an instance. The operator refuses to let it go while a tenant lives there.
#[utoipa::path(delete, path = "/instances/{name}", request_body = Confirmation, responses(
    (status = 202), (status = 403, body = ProblemDocument), (status = 422, body = ProblemDocument)))]
pub async fn delete(
    State(app): State<App>,
    caller: ApiCaller,
    Path(name): Path<String>,
    Json(confirmation): Json<Confirmation>,
) -> Result<StatusCode, Refusal> {
    end::<DedicatedInstance>(&app, &caller, &name, &confirmation).await
}
