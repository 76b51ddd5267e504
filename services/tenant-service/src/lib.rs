//! tenant-service: reads the tenants' reconciled config from ConfigMaps of its own namespace, adds the settings that the
//! tenants' administrators make, and serves both to the services.

pub mod internal;
pub mod publisher;
pub mod schema;
pub mod schemas;
pub mod settings;
mod unique;
pub mod watch;

use easycode_kit::{Migration, Role, Service, guard::ADMINISTRATOR};

/// The service.
pub const SERVICE: Service = Service {
    name: easycode_contract::runtime::TENANT_SERVICE,
    prefix: Some("tenant"),
    migrations: &[
        Migration { version: 1, name: "setting", script: include_str!("../migrations/0001_setting.sql") },
        Migration {
            version: 2,
            name: "setting version",
            script: include_str!("../migrations/0002_setting_version.sql"),
        },
    ],
    routes: settings::routes,
    roles: &[Role { name: ADMINISTRATOR, description: "Administers the company's users and settings.", implies: &[] }],
    settings: Some(include_str!("../settings.json")),
};
