//! user-service: a tenant's users, their roles and sessions, in the tenant's own schema. It signs the tokens that the services
//! accept, with keys that the operator makes and turns.
//!
//! What is done for whom is in modules of the domain, which know nothing of HTTP; [`api`] is one way to them.

pub mod accounts;
pub mod api;
pub mod attempts;
pub mod buckets;
pub mod cookies;
pub mod delegations;
pub mod events;
pub mod first_administrators;
pub mod identity_provider;
pub mod internal;
pub mod invitations;
pub mod keys;
pub mod members;
pub mod oidc;
pub mod outbound;
pub mod pages;
pub mod passwords;
pub mod realm;
pub mod recognised;
pub mod roles;
pub mod secret;
pub mod sessions;
pub mod sign_in;
pub mod strength;

use easycode_contract::runtime::USER_SERVICE;
use easycode_kit::{Migration, Service};

/// The service. It has no roles of its own: who administers the users is a role of tenant-service.
pub const SERVICE: Service = Service {
    name: USER_SERVICE,
    prefix: Some("user"),
    migrations: &[Migration { version: 1, name: "users", script: include_str!("../migrations/0001_users.sql") }],
    routes: api::routes,
    roles: &[],
    settings: None,
};
