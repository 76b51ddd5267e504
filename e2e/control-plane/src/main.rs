//! `control-plane COMMAND…`: runs a command beside a control plane that its tests share, with the operator and the examples. All
//! of it ends with the command, and with this program, however that ends.

use std::{
    env,
    fs::File,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Context;
use easycode_control_plane_tests::Shared;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let program = arguments.next().context("give the command to run")?;
    let begun = Instant::now();
    let folder = easycode_e2e::cluster::checkout().join("target/control-plane");
    std::fs::create_dir_all(&folder)?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(File::create(folder.join("simulator.log"))?).init();
    // The command hears of an interrupt itself; this program stays until it has ended.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shared = tokio::select! {
        shared = Shared::start(&folder) => shared?,
        _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    eprintln!("control plane, operator and examples are ready after {:.1?}", begun.elapsed());
    let mut command = Command::new(&program);
    command.args(arguments).envs(shared.environment()?);
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => child.start_kill()?,
        }
    };
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
