//! Finance: the chart of accounts, the journal, invoices with their payments, and the reports over them.

pub mod accounts;
pub mod invoices;
pub mod journal;
pub mod reports;

use easycode_kit::{App, Migration, Role, Service};
use utoipa_axum::router::OpenApiRouter;

/// Keeps the chart of accounts, posts anything, reverses and voids.
pub(crate) const MANAGER: &str = "finance-manager";
/// Writes invoices and takes in payments.
pub(crate) const CLERK: &str = "finance-clerk";
/// Posts what other services ask for.
pub(crate) const POSTER: &str = "ledger-poster";

/// The service.
pub const SERVICE: Service = Service {
    name: "finance",
    prefix: None,
    migrations: &[Migration {
        version: 1,
        name: "ledger and invoices",
        script: include_str!("../migrations/0001_ledger_and_invoices.sql"),
    }],
    routes,
    roles: &[
        Role { name: MANAGER, description: "Keeps the chart of accounts, posts, reverses and voids.", implies: &[] },
        Role { name: CLERK, description: "Writes invoices and takes in payments.", implies: &[] },
        Role { name: POSTER, description: "Has entries posted by what it does in other services.", implies: &[] },
    ],
    settings: None,
};

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/accounts", accounts::routes())
        .nest("/entries", journal::routes())
        .nest("/invoices", invoices::routes())
        .merge(reports::routes())
}
