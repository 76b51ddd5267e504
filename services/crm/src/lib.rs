//! Customer relationship management: companies, contacts, deals, search over them, and the module `campaigns`.

pub mod campaigns;
pub mod companies;
pub mod contacts;
pub mod custom;
pub mod deals;
pub mod search;

use easycode_kit::{App, Migration, Role, Service};
use utoipa_axum::router::OpenApiRouter;

/// The service.
pub const SERVICE: Service = Service {
    name: "crm",
    prefix: None,
    migrations: &[Migration {
        version: 1,
        name: "customers and deals",
        script: include_str!("../migrations/0001_customers_and_deals.sql"),
    }],
    routes,
    roles: &[Role {
        name: "crm-user",
        description: "Works with companies, contacts, deals and campaigns.",
        implies: &[],
    }],
    settings: Some(include_str!("../settings.json")),
};

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/companies", companies::routes())
        .nest("/contacts", contacts::routes())
        .nest("/deals", deals::routes())
        .nest("/campaigns", campaigns::routes())
        .merge(search::routes())
}
