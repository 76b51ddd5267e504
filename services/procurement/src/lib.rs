//! Procurement: suppliers, requisitions with the approvals that the tenant's workflow asks for, purchase orders, receiving.

pub mod orders;
pub mod receipts;
pub mod requisitions;
pub mod suppliers;
mod telling;
pub mod workflow;

use easycode_kit::{App, Migration, Role, Service, outbox};
use utoipa_axum::router::OpenApiRouter;

/// Keeps suppliers, orders, receives.
pub(crate) const BUYER: &str = "procurement-buyer";
/// Asks for things.
pub(crate) const REQUESTER: &str = "procurement-requester";
/// Approves. The workflow can ask for this role and the next, and for no other: whoever has neither decides nothing.
pub(crate) const APPROVER: &str = "procurement-approver";

/// Approves what is above an approver's limit, where the workflow says so.
pub(crate) const DIRECTOR: &str = "procurement-director";

/// What receiving takes in Inventory, and in Finance.
pub(crate) const MOVER: &str = "stock-mover";
pub(crate) const POSTER: &str = "ledger-poster";

/// The service.
pub const SERVICE: Service = Service {
    name: "procurement",
    prefix: None,
    migrations: &[
        Migration { version: 1, name: "outbox", script: outbox::TABLE },
        Migration { version: 2, name: "purchasing", script: include_str!("../migrations/0002_purchasing.sql") },
        Migration { version: 3, name: "deliveries that follow others", script: outbox::FOLLOWS },
    ],
    routes,
    roles: &[
        Role {
            name: BUYER,
            description: "Keeps suppliers, orders what is approved, and receives it.",
            implies: &[MOVER, POSTER],
        },
        Role { name: REQUESTER, description: "Asks for what is to be bought.", implies: &[] },
        Role { name: APPROVER, description: "Approves what others ask for.", implies: &[] },
        Role { name: DIRECTOR, description: "Approves what is above an approver's limit.", implies: &[] },
    ],
    settings: Some(include_str!("../settings.json")),
};

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/suppliers", suppliers::routes())
        .nest("/requisitions", requisitions::routes())
        .nest("/orders", orders::routes())
        .merge(receipts::routes())
}
