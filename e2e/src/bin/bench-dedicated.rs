//! Benchmark of dedicated instances; see `easycode_e2e::bench::dedicated`.

use clap::Parser;
use easycode_e2e::bench::dedicated::{self, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    dedicated::run(&Options::parse()).await
}
