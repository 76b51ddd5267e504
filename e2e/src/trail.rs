//! The audit trail, as `easycode audit` prints it.

use std::{path::PathBuf, process::Command};

use anyhow::ensure;
use serde_json::Value;

use crate::cluster::{checkout, kubeconfig};

/// The command line.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("EASYCODE_PROGRAM").map_or_else(|| checkout().join("target/bin/easycode"), PathBuf::from)
}

/// What the command prints.
pub fn printed(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program()).arg("audit").args(arguments).env("KUBECONFIG", kubeconfig()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The records of one object, out of all of its home: others need not answer for that. `home` is such as `--platform`, `eu1`.
pub fn records(home: [&str; 2], kind: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = serde_json::from_str(&printed(&[home[0], home[1], "-o", "json"])?)?;
    all.retain(|one| one["kind"] == kind && one["name"] == name);
    Ok(all)
}
