//! The fleet as a whole, and what can be entitled.

use axum::extract::State;
use easycode_kit::{Json, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App, catalogue,
    fleet::summary::{self, InstanceSummary, PlatformSummary},
    session::ApiCaller,
};

/// All platforms and instances, and how many tenants there are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetOverview {
    /// Shared platforms, with load and capacity.
    pub platforms: Vec<PlatformSummary>,
    /// Dedicated instances.
    pub instances: Vec<InstanceSummary>,
    /// All tenants.
    pub tenants: usize,
    /// Those that are not ready, though they are not suspended.
    pub tenants_unwell: usize,
}

/// All platforms and instances, and how many tenants there are.
#[utoipa::path(get, path = "/fleet", responses((status = 200, body = FleetOverview)))]
pub async fn fleet(State(app): State<App>, _: ApiCaller) -> Json<FleetOverview> {
    let tenants = app.fleet.tenants();
    let unwell = |tenant: &&std::sync::Arc<easycode_crds::Tenant>| {
        let line = summary::of_tenant(tenant, &app.fleet);
        !line.health.is_ready() && line.state == "Active"
    };
    Json(FleetOverview {
        platforms: app.fleet.platforms().iter().map(|one| summary::of_platform(one, &app.fleet)).collect(),
        instances: app.fleet.instances().iter().map(|one| summary::of_instance(one)).collect(),
        tenants_unwell: tenants.iter().filter(unwell).count(),
        tenants: tenants.len(),
    })
}

/// Services and modules that can be entitled, by release.
#[utoipa::path(get, path = "/catalogue", responses((status = 200, body = Vec<catalogue::Offer>)))]
pub async fn catalogue(State(app): State<App>, _: ApiCaller) -> Result<Json<Vec<catalogue::Offer>>, Problem> {
    Ok(Json(catalogue::all(&app.fleet)))
}
