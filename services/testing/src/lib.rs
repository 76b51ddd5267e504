//! The services of a platform in one process, each on a port of its own, on a real Postgres that the operator's own code has set up.
//! Beside that, what tests do with services wherever they run: people, browsers, tokens.
//!
//! There is no API server: what the operator plans for a tenant is applied to Postgres by the operator's code, and the context that it
//! would publish in a ConfigMap is handed to tenant-service. From there on everything is as in a cluster, over HTTP.

pub mod browser;
pub mod endpoints;
mod freeze;
mod keys;
pub mod people;
mod platform;
pub mod schemathesis;
mod signing_keys;
mod tenant;
pub mod tokens;
pub mod traffic;
mod wait;

pub use endpoints::{Answer, Endpoints};
pub use freeze::Frozen;
pub use platform::{Platform, STAFF};
pub use tenant::{TestTenant, fresh_name};
pub use wait::until;
