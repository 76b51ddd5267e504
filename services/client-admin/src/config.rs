//! Configuration, out of the environment that the chart gives.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use axum_extra::extract::cookie::Key;
use url::Url;

use crate::staff::RoleMap;

/// Below this all paths are.
pub const BASE: &str = "/client-admin";

/// What the service is configured with.
pub struct Config {
    /// Where people reach it, such as `https://console.example.com`.
    pub url: Url,
    /// Issuer of the staff's tokens.
    pub issuer: Url,
    /// What the issuer knows the console as.
    pub client_id: String,
    /// The secret that it shares with the issuer.
    pub client_secret: String,
    /// Which of the staff may do what.
    pub roles: RoleMap,
    /// Encrypts sessions.
    pub session_key: Key,
    /// File with its own token for user-service; rotated by the kubelet.
    pub user_service_token: PathBuf,
    /// Where the operator tells the audit trail.
    pub operator: Url,
    /// File with its own token for the operator; rotated by the kubelet.
    pub operator_token: PathBuf,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &self.url).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the environment.
    pub fn from_environment() -> anyhow::Result<Self> {
        let url = Url::parse(&required("EASYCODE_CONSOLE_URL")?).context("EASYCODE_CONSOLE_URL is no URL")?;
        let issuer = Url::parse(&required("EASYCODE_OIDC_ISSUER")?).context("EASYCODE_OIDC_ISSUER is no URL")?;
        for (name, url) in [("EASYCODE_CONSOLE_URL", &url), ("EASYCODE_OIDC_ISSUER", &issuer)] {
            ensure!(is_confidential(url), "{name} must be https, or http of localhost");
        }
        let list = |name: &str| -> anyhow::Result<Vec<String>> {
            let values = required(name)?;
            Ok(values.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect())
        };
        Ok(Self {
            url,
            issuer,
            client_id: required("EASYCODE_OIDC_CLIENT_ID")?,
            client_secret: secret("EASYCODE_OIDC_CLIENT_SECRET_FILE")?,
            roles: RoleMap {
                claim: env::var("EASYCODE_ROLES_CLAIM").unwrap_or_else(|_| "groups".to_owned()),
                support: list("EASYCODE_ROLES_SUPPORT")?,
                operations: list("EASYCODE_ROLES_OPERATIONS")?,
                administrator: list("EASYCODE_ROLES_ADMINISTRATOR")?,
            },
            session_key: key(secret("EASYCODE_SESSION_KEY_FILE")?.as_bytes())?,
            user_service_token: required("EASYCODE_USER_SERVICE_TOKEN_FILE")?.into(),
            operator: Url::parse(&required("EASYCODE_OPERATOR_URL")?).context("EASYCODE_OPERATOR_URL is no URL")?,
            operator_token: required("EASYCODE_OPERATOR_TOKEN_FILE")?.into(),
        })
    }

    /// Whether cookies are for https only.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// The token in the file, read anew each time since the kubelet rotates it.
pub async fn own_token(file: &Path) -> anyhow::Result<String> {
    let token = tokio::fs::read_to_string(file).await.with_context(|| format!("reading {}", file.display()))?;
    Ok(token.trim().to_owned())
}

/// What is sent there can be read by nobody on the way.
fn is_confidential(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1")))
}

fn required(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}

fn secret(name: &str) -> anyhow::Result<String> {
    let path = required(name)?;
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}, which {name} names"))?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{path}, which {name} names, is empty");
    Ok(text.to_owned())
}

fn key(bytes: &[u8]) -> anyhow::Result<Key> {
    ensure!(bytes.len() >= 32, "the session key has fewer than 32 characters; give random ones, at least 32");
    Ok(Key::derive_from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let confidential = |url: &str| is_confidential(&Url::parse(url).unwrap());
        assert!(confidential("https://console.example.com") && confidential("http://localhost:8080"));
        assert!(!confidential("http://console.example.com") && !confidential("ftp://localhost"));
    }

    #[test]
    fn a_short_session_key_is_refused() {
        assert!(key(b"short").is_err());
        assert!(key(&[7; 32]).is_ok());
    }
}
