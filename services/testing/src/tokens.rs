//! Users' tokens of a login service of the company's own, which the platform names as issuer.

use crate::keys::Keys;

/// The issuer.
pub const ISSUER: &str = "https://login.example.com";

/// A token of a user of the tenant with the roles.
pub fn token(tenant: &str, roles: &[&str]) -> anyhow::Result<String> {
    Keys::get().user_token(tenant, roles)
}

/// File of the private key that signs them.
#[must_use]
pub fn key() -> std::path::PathBuf {
    Keys::get().users_key()
}
