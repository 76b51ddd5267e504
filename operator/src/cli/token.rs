//! Keys and tokens for tests and demos.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use easycode_contract::runtime::USER_AUDIENCE;
use easycode_crds::scalars::Duration;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::json;

/// What to do with keys and tokens.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a private key in a file, unless it is there.
    Keygen {
        /// The file.
        #[arg(long)]
        key: PathBuf,
    },
    /// Print the public key as a JSON Web Key Set, for `spec.identity.jwks`.
    Jwks {
        /// The file with the private key.
        #[arg(long)]
        key: PathBuf,
    },
    /// Sign a token.
    Sign {
        /// The file with the private key.
        #[arg(long)]
        key: PathBuf,
        /// Issuer, as in `spec.identity.issuer`.
        #[arg(long)]
        issuer: String,
        /// Tenant that the user works for.
        #[arg(long)]
        tenant: String,
        /// The user.
        #[arg(long, default_value = "demo")]
        subject: String,
        /// A role of the user, such as tenant-admin; may be given several times.
        #[arg(long = "role")]
        roles: Vec<String>,
        /// How long the token counts.
        #[arg(long, default_value = "1h")]
        lifetime: Duration,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Keygen { key } => keygen(key),
        Command::Jwks { key } => {
            println!("{}", jwks(key)?);
            Ok(())
        }
        Command::Sign { key, issuer, tenant, subject, roles, lifetime } => {
            println!("{}", sign(&read(key)?, issuer, tenant, subject, &roles.iter().cloned().collect(), *lifetime)?);
            Ok(())
        }
    }
}

/// Makes a private key in a file, unless it is there.
pub fn keygen(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| anyhow!("the system gives no random numbers"))?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(document));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    Ok(file.write_all(pem.as_bytes())?)
}

/// Reads a private key.
pub fn read(path: &Path) -> anyhow::Result<EncodingKey> {
    let pem =
        fs::read(path).with_context(|| format!("reading {}; make it with easycode token keygen", path.display()))?;
    EncodingKey::from_ec_pem(&pem).with_context(|| format!("{} is no P-256 private key", path.display()))
}

/// The public key of a file with a private key, as a JSON Web Key Set.
pub fn jwks(path: &Path) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&JwkSet { keys: vec![public(&read(path)?)?] })?)
}

/// The public key, named by its thumbprint.
pub fn public(key: &EncodingKey) -> anyhow::Result<Jwk> {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256)?;
    jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256)?);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}

/// Signs a token of the user for the tenant, which counts from now for the lifetime.
pub fn sign(
    key: &EncodingKey,
    issuer: &str,
    tenant: &str,
    subject: &str,
    roles: &BTreeSet<String>,
    lifetime: Duration,
) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = Header { kid: public(key)?.common.key_id, ..Header::new(Algorithm::ES256) };
    let claims = json!({
        "iss": issuer, "aud": USER_AUDIENCE, "sub": subject, "tenant": tenant, "roles": roles,
        "iat": now, "exp": now + lifetime.get().as_secs(),
    });
    Ok(jsonwebtoken::encode(&header, &claims, key)?)
}
