//! The keys of a test's process: those that users' tokens of another login service and workloads' tokens are signed with.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use easycode_crds::Duration;
use easycode_operator::cli::token;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode, get_current_timestamp,
    jwk::{Jwk, JwkSet, ThumbprintHash},
};
use serde_json::json;
use tempfile::TempDir;

/// Who has issued workloads' tokens; in a cluster that is its API server.
pub(crate) const WORKLOAD_ISSUER: &str = "https://kubernetes.test";
/// How long tokens count.
const LIFETIME_SECONDS: u64 = 3600;

/// The folder of the process's keys.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::make().expect("the system has room for keys"));

/// Keys in files, as pods would have them mounted.
pub(crate) struct Keys {
    folder: TempDir,
    users: EncodingKey,
    workloads: EncodingKey,
}

impl Keys {
    /// Those of the process.
    pub(crate) fn get() -> &'static Self {
        &KEYS
    }

    fn make() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let [users, workloads] = ["users", "workloads"].map(|name| key_pair(folder.path(), name));
        Ok(Self { users: users?, workloads: workloads?, folder })
    }

    /// File of the private key that signs users' tokens for [`crate::tokens::ISSUER`].
    pub(crate) fn users_key(&self) -> std::path::PathBuf {
        self.folder.path().join("users.pem")
    }

    /// File of the public keys of users' tokens.
    pub(crate) fn users_jwks(&self) -> std::path::PathBuf {
        self.folder.path().join("users.json")
    }

    /// File of the public keys of workloads' tokens.
    pub(crate) fn workloads_jwks(&self) -> std::path::PathBuf {
        self.folder.path().join("workloads.json")
    }

    /// A user's token.
    pub(crate) fn user_token(&self, tenant: &str, roles: &[&str]) -> anyhow::Result<String> {
        let roles: BTreeSet<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        token::sign(&self.users, crate::tokens::ISSUER, tenant, "e2e", &roles, Duration::from_secs(LIFETIME_SECONDS))
    }

    /// The token of a service account, as the kubelet mounts it.
    pub(crate) fn workload_token(&self, namespace: &str, account: &str, audience: &str) -> anyhow::Result<String> {
        let public = Jwk::from_encoding_key(&self.workloads, Algorithm::ES256)?;
        let kid = Some(public.thumbprint(ThumbprintHash::SHA256)?);
        let claims = json!({
            "iss": WORKLOAD_ISSUER, "aud": [audience], "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "iat": get_current_timestamp(), "exp": get_current_timestamp() + LIFETIME_SECONDS,
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account } },
        });
        Ok(encode(&Header { kid, ..Header::new(Algorithm::ES256) }, &claims, &self.workloads)?)
    }
}

/// Makes a private key and the file of its public one.
fn key_pair(folder: &Path, name: &str) -> anyhow::Result<EncodingKey> {
    let path = folder.join(format!("{name}.pem"));
    token::run(&token::Command::Keygen { key: path.clone() })?;
    let key = token::read(&path)?;
    fs::write(folder.join(format!("{name}.json")), serde_json::to_vec(&JwkSet { keys: vec![token::public(&key)?] })?)?;
    Ok(key)
}
