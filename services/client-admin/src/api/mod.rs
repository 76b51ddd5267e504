//! The API for programs, below `/client-admin/v1`.

mod fleet;
mod instances;
mod platforms;
mod progress;
pub mod tenants;

use axum::{Json, Router, routing::get};
use easycode_kit::{Problem, document};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    progress::State as ProgressState,
    tenants::{InstanceChange, TenantChange},
};
use crate::{App, config::BASE};

/// The routes.
pub fn routes(_: &App) -> Router<App> {
    let base = format!("{BASE}/v1");
    let (api, mut document) = OpenApiRouter::new()
        .routes(routes!(fleet::fleet))
        .routes(routes!(fleet::catalogue))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::one, tenants::apply, tenants::offboard))
        .routes(routes!(tenants::history))
        .routes(routes!(tenants::plan))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(tenants::invite))
        .routes(routes!(progress::events))
        .routes(routes!(instances::list))
        .routes(routes!(instances::one, instances::apply, instances::delete))
        .routes(routes!(instances::plan))
        .routes(routes!(platforms::one))
        .split_for_parts();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document::complete(&mut document, "client-admin", &base);
    let api = api
        .route("/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .fallback(|| async { Problem::not_found("there is no such path; see openapi.json") });
    Router::new().nest(&base, api)
}
