//! The roles that the company's users can be given.

use easycode_kit::{App, Json, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    members::Member,
    roles::{self, Assignable},
};

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The roles of the services that the company is entitled to.
#[utoipa::path(get, path = "/assignable-roles", tag = "users", responses((status = 200, body = Vec<Assignable>), (status = 403)))]
async fn list(member: Member) -> Result<Json<Vec<Assignable>>, Problem> {
    member.require_administrator()?;
    Ok(Json(roles::assignable(&member).await))
}
