//! Configuration, out of the environment that the operator gives.

use std::{collections::BTreeMap, env, path::PathBuf};

use anyhow::Context;
use easycode_contract::runtime;
use easycode_listener::Limits;

use crate::{Role, Service};

/// Most bytes of requests' bodies at once, unless the environment says otherwise. What is parsed of them can take ten times as much.
pub const BODIES_BYTES: usize = 8 << 20;

/// Most bytes of requests' bodies at once, as the environment says.
///
/// # Errors
/// If it says no number.
pub fn bodies_bytes() -> anyhow::Result<usize> {
    let Ok(text) = env::var(runtime::HTTP_BODIES_BYTES) else { return Ok(BODIES_BYTES) };
    text.parse().with_context(|| format!("{} is no number", runtime::HTTP_BODIES_BYTES))
}

/// What a service is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name it serves as: its entitlement and its database.
    pub service: String,
    /// First segment of its paths.
    pub prefix: String,
    /// The roles of its users.
    pub roles: &'static [Role],
    /// Namespace it runs in.
    pub namespace: String,
    /// Issuer of users' tokens.
    pub issuer: String,
    /// File or URL of the issuer's keys.
    pub jwks: String,
    /// Base URL of user-service, whose tokens count, too, where there is one.
    pub user_service: Option<String>,
    /// Base URL of tenant-service.
    pub tenant_service: String,
    /// Base URLs of other services that are not at their names in the namespace. In a cluster there are none.
    pub base_urls: BTreeMap<String, String>,
    /// Folder with the database credentials.
    pub database: PathBuf,
    /// File with its own token for tenant-service.
    pub identity_token: PathBuf,
    /// Most database connections.
    pub connections: u32,
    /// Limits of the listener of the API.
    pub listener: Limits,
    /// Most bytes of requests' bodies at once.
    pub bodies_bytes: usize,
}

impl Config {
    /// Reads the environment.
    pub fn from_environment(service: &Service) -> anyhow::Result<Self> {
        let required = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
        let or = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let name = or(runtime::SERVICE, service.name);
        Ok(Self {
            prefix: service.prefix.map_or_else(|| name.clone(), str::to_owned),
            service: name,
            roles: service.roles,
            namespace: required(runtime::NAMESPACE)?,
            issuer: required(runtime::ISSUER)?,
            jwks: or(runtime::JWKS, runtime::JWKS_FILE),
            user_service: env::var(runtime::USER_SERVICE_URL).ok(),
            tenant_service: required(runtime::TENANT_SERVICE_URL)?,
            base_urls: BTreeMap::new(),
            database: or(runtime::DATABASE_DIR_VAR, runtime::DATABASE_DIR).into(),
            identity_token: or(runtime::IDENTITY_TOKEN_VAR, runtime::IDENTITY_TOKEN_FILE).into(),
            connections: or(runtime::DATABASE_CONNECTIONS, "10")
                .parse()
                .with_context(|| format!("{} is no number", runtime::DATABASE_CONNECTIONS))?,
            listener: Limits::from_environment()?,
            bodies_bytes: bodies_bytes()?,
        })
    }

    /// Base URL of another service's API, `/{prefix}/v1` included.
    #[must_use]
    pub fn api_url(&self, service: &str) -> String {
        match self.base_urls.get(service) {
            Some(base) => format!("{base}/{}/v1", runtime::path_prefix(service)),
            None => runtime::api_url(service, &self.namespace),
        }
    }

    /// A service that can reach nothing, for tests.
    #[cfg(test)]
    pub(crate) fn of_nowhere() -> Self {
        Self {
            service: "crm".to_owned(),
            prefix: "crm".to_owned(),
            roles: &[],
            namespace: String::new(),
            issuer: String::new(),
            jwks: String::new(),
            user_service: None,
            tenant_service: String::new(),
            base_urls: BTreeMap::new(),
            database: "nowhere".into(),
            identity_token: "nowhere/token".into(),
            connections: 1,
            listener: Limits::default(),
            bodies_bytes: BODIES_BYTES,
        }
    }
}
