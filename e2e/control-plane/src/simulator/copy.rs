//! A container that copies a tenant from one Postgres to another: its script, run with the programs of this machine's Postgres.

use std::process::Stdio;

use anyhow::Context;
use k8s_openapi::api::core::v1::Container as Specified;
use tempfile::TempDir;
use tokio::process::Command;

use super::mounts::Mounts;

/// How the images begin that have Postgres' client programs: the chart's default.
const IMAGE_PREFIX: &str = "postgres:";
/// Volume with the logins.
const LOGINS: &str = "logins";
/// How much of what was printed at the end a kubelet keeps, in bytes.
const LAST_WORDS: usize = 2048;

/// Whether a container runs such a script.
pub(super) fn is_copy(specified: &Specified) -> bool {
    let mounts = specified.volume_mounts.iter().flatten();
    specified.image.as_deref().is_some_and(|image| image.starts_with(IMAGE_PREFIX))
        && mounts.into_iter().any(|mount| mount.name == LOGINS)
}

/// Runs it to its end. Returns whether it succeeded, and its last words.
pub(super) async fn run(specified: &Specified, mounts: &Mounts) -> anyhow::Result<(bool, String)> {
    let folder = TempDir::new()?;
    let mounted = specified.volume_mounts.iter().flatten().find(|mount| mount.name == LOGINS);
    let mounted = &mounted.context("no logins are mounted")?.mount_path;
    let here = |text: &str| text.replace("/tmp", &folder.path().to_string_lossy());
    let mut words = specified.command.iter().flatten();
    let mut command = Command::new(words.next().context("no command")?);
    command.args(words.map(|word| here(word)));
    for variable in specified.env.iter().flatten() {
        let value = variable.value.as_deref().unwrap_or_default();
        command.env(&variable.name, value.replace(mounted.as_str(), &mounts.path(LOGINS).to_string_lossy()));
    }
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let printed = [output.stdout, output.stderr].concat();
    let last_words = &printed[printed.len().saturating_sub(LAST_WORDS)..];
    Ok((output.status.success(), String::from_utf8_lossy(last_words).into_owned()))
}
