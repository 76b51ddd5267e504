//! What EasyCode's staff ask for, through client-admin-service.

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    routing::post,
};
use easycode_kit::{App, Json, Path, Problem, workload::Workloads};
use serde::Deserialize;

use crate::{first_administrators, invitations::Link};

/// client-admin-service, which has shown that it is.
struct Staff;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Address of one of the tenant's first administrators.
    email: String,
    /// Who of EasyCode's staff asks for it.
    by: String,
}

#[derive(Clone)]
struct Allowed {
    workloads: Workloads,
    /// `namespace/service account`.
    account: String,
}

impl FromRequestParts<App> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let allowed = parts.extensions.get::<Allowed>().cloned().ok_or_else(Problem::internal)?;
        let workload = allowed.workloads.asking(&parts.headers).await?;
        if format!("{}/{}", workload.namespace, workload.account()) != allowed.account {
            return Err(Problem::forbidden("not-staff", "only client-admin-service is served"));
        }
        Ok(Self)
    }
}

/// The routes.
pub fn router(workloads: Workloads, account: String) -> Router<App> {
    Router::new()
        .route("/internal/v1/tenants/{tenant}/invitations", post(invite))
        .layer(axum::Extension(Allowed { workloads, account }))
}

/// Makes a link for one of a tenant's first administrators.
async fn invite(
    _: Staff,
    State(app): State<App>,
    Path(tenant): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Link>, Problem> {
    let by = wanted.by.trim();
    if !(1..=200).contains(&by.len()) {
        return Err(Problem::invalid("by: must have 1 to 200 bytes"));
    }
    Ok(Json(first_administrators::invite(&app, &tenant, &wanted.email, by).await?))
}
