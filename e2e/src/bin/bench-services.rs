//! Benchmark of the services; see `easycode_e2e::bench::services`.

use clap::Parser;
use easycode_e2e::bench::services::{Options, run};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Set up as in a service, since the spans of its requests are part of what one costs.
    let filter = EnvFilter::new("warn,easycode_kit=info");
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    tokio::select! {
        outcome = run(&options) => outcome,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; the next run clears away what this one has left"),
    }
}
