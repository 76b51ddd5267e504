//! The command line.

use clap::Parser;
use easycode_operator::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    Cli::parse().run().await
}
