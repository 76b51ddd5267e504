//! Point of sale: registers, shifts, sales that take stock and post to the ledger, refunds, receipts in the tenant's words.

mod costs;
pub mod loyalty;
pub mod receipts;
pub mod refunds;
pub mod registers;
pub mod sales;
pub mod shifts;
pub mod telling;

use easycode_kit::{App, Migration, Role, Service, outbox};
use utoipa_axum::router::OpenApiRouter;

/// Sells.
pub(crate) const CASHIER: &str = "pos-cashier";
/// Keeps registers, and gives money back.
pub(crate) const MANAGER: &str = "pos-manager";

/// What selling takes in Inventory, and in Finance.
pub(crate) const MOVER: &str = "stock-mover";
pub(crate) const POSTER: &str = "ledger-poster";

/// The service.
pub const SERVICE: Service = Service {
    name: "pos",
    prefix: None,
    migrations: &[
        Migration { version: 1, name: "outbox", script: outbox::TABLE },
        Migration {
            version: 2,
            name: "registers and sales",
            script: include_str!("../migrations/0002_registers_and_sales.sql"),
        },
        Migration { version: 3, name: "deliveries that follow others", script: outbox::FOLLOWS },
    ],
    routes,
    roles: &[
        Role { name: CASHIER, description: "Opens shifts and sells.", implies: &[MOVER, POSTER] },
        Role { name: MANAGER, description: "Keeps registers, and gives money back.", implies: &[MOVER, POSTER] },
    ],
    settings: Some(include_str!("../settings.json")),
};

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/registers", registers::routes())
        .nest("/shifts", shifts::routes())
        .nest("/sales", sales::routes())
        .nest("/loyalty", loyalty::routes())
        .merge(refunds::routes())
        .merge(receipts::routes())
        .merge(telling::routes())
}
