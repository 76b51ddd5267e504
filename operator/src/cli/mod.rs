//! The command line for ops, also as the kubectl plugin `kubectl easycode`.

pub mod audit;
pub mod moves;
pub mod plan;
pub mod status;
pub mod token;

use std::io::{self, ErrorKind, Write};

use clap::{Parser, Subcommand};

/// See and try what the EasyCode tenancy operator does.
#[derive(Parser)]
#[command(name = "easycode", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print who changed which spec and when, and what the operator did with tenants' data.
    Audit(audit::Arguments),
    /// Print how far a tenant's move between platforms and instances is.
    Move(moves::Arguments),
    /// Print what the operator would make of the objects in files, and what of it would change.
    Plan(plan::Arguments),
    /// Print tenants as trees: conditions, objects, schema versions.
    Status(status::Arguments),
    /// Make keys and sign tokens for tests, until a login service does.
    #[command(subcommand)]
    Token(token::Command),
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Audit(arguments) => audit::run(&arguments).await,
            Command::Move(arguments) => moves::run(&arguments).await,
            Command::Plan(arguments) => plan::run(&arguments).await,
            Command::Status(arguments) => status::run(&arguments).await,
            Command::Token(command) => token::run(&command),
        }
    }
}

/// Prints to standard output. A reader that has seen enough and is gone, such as `head`, is no failure.
fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
