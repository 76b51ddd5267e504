//! Where Postgres' programs are, and the user they run as.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

/// Environment variable that names the folder of Postgres' programs.
const PROGRAMS: &str = "EASYCODE_POSTGRES_BIN";
/// Oldest major version that the product supports.
const OLDEST_SUPPORTED: u32 = 15;
/// The user whom Debian's package makes, for tests that run as root: Postgres refuses to run as root.
const UNPRIVILEGED: &str = "postgres";

/// An installed Postgres.
pub(crate) struct Installation {
    programs: PathBuf,
    unprivileged: bool,
}

impl Installation {
    /// Finds the newest supported one: `EASYCODE_POSTGRES_BIN`, or where Debian installs it.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let programs = match std::env::var_os(PROGRAMS) {
            Some(folder) => folder.into(),
            None => newest(Path::new("/usr/lib/postgresql"))
                .context("no Postgres 15 or later; install the package postgresql, or set EASYCODE_POSTGRES_BIN")?,
        };
        ensure!(programs.join("initdb").exists(), "{} holds no initdb", programs.display());
        let unprivileged = user() == "root";
        if unprivileged && !fs::read_to_string("/etc/passwd")?.contains(&format!("\n{UNPRIVILEGED}:")) {
            bail!("Postgres does not run as root, and there is no user {UNPRIVILEGED}");
        }
        Ok(Self { programs, unprivileged })
    }

    /// Identifies the version of the programs.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(self.programs.join("postgres")).arg("--version").output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// One of the programs, which gets `signal` when the thread that starts it ends.
    pub(crate) fn program(&self, name: &str, signal: &str) -> Command {
        // setpriv changes the user before it sets the signal, which the kernel would otherwise forget.
        let mut command = Command::new("setpriv");
        if self.unprivileged {
            command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups"]);
        }
        command.args(["--pdeathsig", signal, "--"]).arg(self.programs.join(name));
        command.env_remove("PGDATABASE").env_remove("PGOPTIONS").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Gives a folder to the user that Postgres runs as.
    pub(crate) fn give(&self, folder: &Path) -> anyhow::Result<()> {
        if self.unprivileged {
            run(Command::new("chown").arg(UNPRIVILEGED).arg(folder))?;
        }
        Ok(())
    }
}

/// Runs a program to its end, and fails with what it printed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn newest(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        (version >= OLDEST_SUPPORTED).then(|| (version, entry.path().join("bin")))
    });
    versions.max().map(|(_, programs)| programs)
}

fn user() -> String {
    run(Command::new("id").arg("-un")).map(|name| name.trim().to_owned()).unwrap_or_default()
}
