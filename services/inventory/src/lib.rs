//! Inventory: items, warehouses, what moves in and out of them and what it was worth, and what is kept back for someone.

pub mod items;
pub mod moves;
pub mod reservations;
mod shortfall;
pub mod stock;
pub mod warehouses;

use easycode_kit::{App, Migration, Role, Service};
use utoipa_axum::router::OpenApiRouter;

/// Keeps items and warehouses, and corrects the stock.
pub(crate) const MANAGER: &str = "inventory-manager";
/// Moves goods in and out, and keeps them back.
pub(crate) const MOVER: &str = "stock-mover";

/// The module of more than one warehouse.
pub(crate) const WAREHOUSING: &str = "warehousing";
/// The module of lots.
pub(crate) const LOTS: &str = "lots";

/// The service.
pub const SERVICE: Service = Service {
    name: "inventory",
    prefix: None,
    migrations: &[
        Migration {
            version: 1,
            name: "items and stock",
            script: include_str!("../migrations/0001_items_and_stock.sql"),
        },
        Migration {
            version: 2,
            name: "values and currencies",
            script: include_str!("../migrations/0002_values_and_currencies.sql"),
        },
    ],
    routes,
    roles: &[
        Role { name: MANAGER, description: "Keeps items and warehouses, and corrects the stock.", implies: &[] },
        Role { name: MOVER, description: "Moves goods in and out, and keeps them back.", implies: &[] },
    ],
    settings: None,
};

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/items", items::routes())
        .nest("/warehouses", warehouses::routes())
        .nest("/reservations", reservations::routes())
        .merge(moves::routes())
        .merge(stock::routes())
}
