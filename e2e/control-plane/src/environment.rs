//! Where programs and folders are.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// Folder with the programs of Kubernetes, as other test suites name it.
pub const KUBERNETES: &str = "KUBEBUILDER_ASSETS";
/// Where there is room in memory: nothing of a test has to outlive the machine.
const MEMORY: &str = "/dev/shm";
/// With what the names of the folders begin, before the id of the process that owns them.
const PREFIX: &str = "easycode-control-plane-";

/// A program of Kubernetes.
pub(crate) fn kubernetes(name: &str) -> anyhow::Result<PathBuf> {
    let folder =
        env::var_os(KUBERNETES).with_context(|| format!("{KUBERNETES} is not set; run make test-control-plane"))?;
    existing(Path::new(&folder).join(name))
}

/// A program of this workspace: it stands beside `control-plane`, which alone may ask, as tests are built into another folder.
pub(crate) fn workspace(name: &str) -> anyhow::Result<PathBuf> {
    existing(env::current_exe()?.with_file_name(name))
}

fn existing(program: PathBuf) -> anyhow::Result<PathBuf> {
    ensure!(program.exists(), "{} is missing; run make test-control-plane", program.display());
    Ok(program)
}

/// A folder of this process. Those of processes that are gone are removed.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let memory = Path::new(MEMORY);
    let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    for entry in fs::read_dir(&parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Others may be removing it as well.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir_in(parent)?)
}
