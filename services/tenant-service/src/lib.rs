//! tenant-service: reads the tenants' reconciled config from ConfigMaps of its own namespace, adds the settings that the
//! tenants' administrators make, and serves both to the services.

pub mod internal;
pub mod publisher;
pub mod settings;
pub mod watch;

use easycode_kit::{Migration, Role, Service};

/// The service.
pub const SERVICE: Service = Service {
    name: easycode_contract::runtime::TENANT_SERVICE,
    prefix: Some("tenant"),
    migrations: &[Migration { version: 1, name: "setting", script: include_str!("../migrations/0001_setting.sql") }],
    routes: settings::routes,
    roles: &[Role { name: "tenant-admin", description: "Administers the company's users and settings.", implies: &[] }],
};
