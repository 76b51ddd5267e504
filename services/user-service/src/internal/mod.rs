//! APIs that are not for people. No ingress routes to them.

mod delegations;
mod staff;

use axum::Router;
use easycode_contract::runtime::{TENANT_SERVICE_AUDIENCE, USER_SERVICE_AUDIENCE};
use easycode_kit::{App, Config, workload::Workloads};

/// The routes; `staff` is `namespace/service account` of client-admin-service.
pub fn router(config: &Config, staff: String) -> anyhow::Result<Router<App>> {
    let of_staff = staff::router(Workloads::new(config, USER_SERVICE_AUDIENCE)?, staff);
    // The token that each service's pod has for tenant-service does here as well.
    let of_services = delegations::router(Workloads::new(config, TENANT_SERVICE_AUDIENCE)?);
    Ok(of_staff.merge(of_services))
}
