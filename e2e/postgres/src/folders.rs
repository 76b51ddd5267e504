//! The data folders: prepared ones, each made once, and the copies that tests work on.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, SystemTime},
};

use anyhow::Context;

use crate::installation::run;

/// Where there is room in memory, since nothing of a test has to outlive the machine.
const MEMORY: &str = "/dev/shm";
/// The folder of all of them. One word of the project's own, so that what an unclean stop left is found and removed.
const NAME: &str = "easycode-test-postgres";

/// How long a prepared folder is kept that nobody copies: each build of a program that prepares one has its own.
const KEEP_PREPARED: Duration = Duration::from_hours(1);
/// With what the names of prepared folders begin.
const PREPARED: &str = "prepared-";

/// The folder below which all data folders are.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let memory = Path::new(MEMORY);
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let root = parent.join(NAME);
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    Ok(root)
}

/// A folder for one test of this process. Those of processes that are gone are removed.
pub(crate) fn fresh() -> anyhow::Result<PathBuf> {
    let root = root()?;
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let owner = name.strip_prefix("run-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Others may be removing it as well.
            let _ = fs::remove_dir_all(path);
        }
    }
    let folder = root.join(format!("run-{}-{:08x}", process::id(), rand::random::<u32>()));
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// The prepared folder of a key, which may not be there yet.
pub(crate) fn prepared(key: &str) -> anyhow::Result<PathBuf> {
    Ok(root()?.join(format!("{PREPARED}{key}")))
}

/// Notes that a prepared folder is used, and keeps it for that from [`remove_unused`].
pub(crate) fn mark_used(prepared: &Path) -> anyhow::Result<()> {
    File::open(prepared)?.set_modified(SystemTime::now()).with_context(|| format!("marking {}", prepared.display()))
}

/// Removes prepared folders that nobody has used for long: they take memory.
pub(crate) fn remove_unused() -> anyhow::Result<()> {
    for entry in fs::read_dir(root()?)? {
        let entry = entry?;
        let is_prepared = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREPARED));
        // Others may be removing it as well.
        let unused = entry
            .metadata()
            .and_then(|folder| folder.modified())
            .is_ok_and(|used| used.elapsed().is_ok_and(|elapsed| elapsed > KEEP_PREPARED));
        if is_prepared && unused {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Copies a data folder with its owner.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to)).map(drop)
}

/// Holds everyone else of the same name back until it is dropped.
pub(crate) fn lock(name: &str) -> anyhow::Result<File> {
    let file = File::create(root()?.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}
