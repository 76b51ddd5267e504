//! Users' tokens, signed with the key that `make deploy` has made and put into the platform.

use std::{collections::BTreeSet, path::PathBuf};

use easycode_crds::Duration;
use easycode_operator::cli::token;

use crate::cluster::checkout;

/// Issuer of the example platform.
pub const ISSUER: &str = "https://login.example.com";

/// The private key.
#[must_use]
pub fn key() -> PathBuf {
    std::env::var_os("EASYCODE_KEY").map_or_else(|| checkout().join("target/demo/signing-key.pem"), PathBuf::from)
}

/// A token of a user of the tenant with the roles.
pub fn token(tenant: &str, roles: &[&str]) -> anyhow::Result<String> {
    signed_by(&key(), ISSUER, tenant, roles, Duration::from_secs(3600))
}

/// A token signed with another key, or of another issuer or lifetime.
pub fn signed_by(
    key: &std::path::Path,
    issuer: &str,
    tenant: &str,
    roles: &[&str],
    lifetime: Duration,
) -> anyhow::Result<String> {
    let roles: BTreeSet<_> = roles.iter().map(|role| (*role).to_owned()).collect();
    token::sign(&token::read(key)?, issuer, tenant, "e2e", &roles, lifetime)
}
