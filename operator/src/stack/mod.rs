//! A stack: a namespace with tenant-service, business services, and their Postgres. A shared platform is one for many tenants,
//! a dedicated instance one for a single tenant; what differs between the two is the blueprint.

pub mod apply;
pub mod blueprint;
pub mod deletion;
pub mod home;
pub mod names;
pub mod plan;
pub mod status;
