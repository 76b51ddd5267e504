//! Certificate, keys and tokens of one control plane, made anew for each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

/// Who the API server knows by a token of its own: user, and group or nothing.
const USERS: [(&str, &str); 2] = [("admin", "system:masters"), ("system:kube-controller-manager", "")];

/// Names of files in the folder of a control plane.
pub(crate) const CERTIFICATE: &str = "apiserver.crt";
pub(crate) const KEY: &str = "apiserver.key";
pub(crate) const AUTHORITY: &str = "ca.crt";
pub(crate) const ACCOUNTS_KEY: &str = "service-accounts.key";
pub(crate) const ACCOUNTS_PUBLIC_KEY: &str = "service-accounts.pub";
pub(crate) const TOKENS: &str = "tokens.csv";
const ADDRESS: &str = "address";
pub(crate) const ADMIN: &str = "admin.kubeconfig";
pub(crate) const CONTROLLER_MANAGER: &str = "controller-manager.kubeconfig";

/// Writes all of it into the folder, for an API server on this port of loopback.
pub(crate) fn write(folder: &Path, port: u16) -> anyhow::Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new([])?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = parameters.self_signed(&authority_key)?;
    let issuer = Issuer::new(parameters, authority_key);
    let key = KeyPair::generate()?;
    let names = ["kubernetes", "localhost", "127.0.0.1"].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let accounts = KeyPair::generate()?;
    for (name, text) in [
        (AUTHORITY, authority.pem()),
        (CERTIFICATE, certificate.pem()),
        (KEY, key.serialize_pem()),
        (ACCOUNTS_KEY, accounts.serialize_pem()),
        (ACCOUNTS_PUBLIC_KEY, accounts.public_key_pem()),
    ] {
        fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    let tokens = USERS.map(|_| format!("{:032x}", rand::random::<u128>()));
    let lines = USERS.iter().zip(&tokens).map(|((user, group), token)| format!("{token},{user},{user},{group}\n"));
    fs::write(folder.join(TOKENS), lines.collect::<String>())?;
    fs::write(folder.join(ADDRESS), format!("https://127.0.0.1:{port}"))?;
    for (file, token) in [ADMIN, CONTROLLER_MANAGER].into_iter().zip(&tokens) {
        write_kubeconfig(folder, file, token)?;
    }
    Ok(())
}

/// Writes a kubeconfig by which the token's owner connects to the control plane of the folder.
pub(crate) fn write_kubeconfig(folder: &Path, file: &str, token: &str) -> anyhow::Result<PathBuf> {
    let server = fs::read_to_string(folder.join(ADDRESS))?;
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": server, "certificate-authority": folder.join(AUTHORITY),
        } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    let path = folder.join(file);
    fs::write(&path, text.to_string())?;
    Ok(path)
}
