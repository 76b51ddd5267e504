//! APIs that are not for people. No ingress routes to them.

mod delegations;
mod staff;

use axum::Router;
use easycode_kit::{App, workload::Workloads};

/// Who may ask for what.
pub struct Access {
    /// Checks the tokens of client-admin-service, whose audience is [`USER_SERVICE_AUDIENCE`].
    ///
    /// [`USER_SERVICE_AUDIENCE`]: easycode_contract::runtime::USER_SERVICE_AUDIENCE
    pub staff: Workloads,
    /// `namespace/service account` of client-admin-service.
    pub staff_account: String,
    /// Checks the tokens of services. They are those that each has for tenant-service.
    pub services: Workloads,
}

/// The routes.
pub fn router(access: Access) -> Router<App> {
    staff::router(access.staff, access.staff_account).merge(delegations::router(access.services))
}
