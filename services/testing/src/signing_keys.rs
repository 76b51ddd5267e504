//! The keys that user-service signs tokens with, in a folder as the kubelet mounts a Secret: each version in a folder of its own, to which
//! a link points.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::Context;
use easycode_contract::runtime::SIGNING_KEYS;
use rcgen::KeyPair;
use uuid::Uuid;

/// The link to the present version.
const DATA: &str = "..data";

/// Makes the folder with new keys.
pub(crate) fn create(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder)?;
    mount(folder, [generate()?, generate()?, generate()?])
}

/// Rotates the keys as the operator does: the next one signs, and the one that signed is still published.
pub(crate) fn rotate(folder: &Path) -> anyhow::Result<()> {
    let [_, current, next] = SIGNING_KEYS.map(|name| fs::read_to_string(folder.join(DATA).join(name)));
    mount(folder, [current?, next?, generate()?])
}

fn generate() -> anyhow::Result<String> {
    Ok(KeyPair::generate()?.serialize_pem())
}

/// Replaces all files at once.
fn mount(folder: &Path, keys: [String; 3]) -> anyhow::Result<()> {
    let version = format!("..{}", Uuid::new_v4());
    let files = folder.join(&version);
    fs::create_dir(&files)?;
    for (name, key) in SIGNING_KEYS.into_iter().zip(keys) {
        fs::write(files.join(name), key)?;
    }
    let link = folder.join("..data_tmp");
    symlink(version, &link)?;
    fs::rename(link, folder.join(DATA)).context("mounting the signing keys")
}
