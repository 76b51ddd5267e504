//! Child processes that don't outlive who started them.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, bail, ensure};

/// A running program, which is killed when it is dropped, or when the thread that started it ends.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program that appends what it prints to a file.
    pub(crate) fn start(program: &Path, log: &Path, set_up: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = File::options().create(true).append(true).open(log)?;
        // The kernel kills it with its parent, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        set_up(&mut command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { name, child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// Fails if it has ended.
    pub(crate) fn expect_running(&mut self) -> anyhow::Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} has ended with {status}", self.name),
            None => Ok(()),
        }
    }

    /// Kills it, as a power cut would, and waits until it is gone.
    fn kill(&mut self) -> anyhow::Result<()> {
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// Sends it a signal such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status()?;
        ensure!(sent.success(), "{signal} to {}: {sent}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.kill();
    }
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
