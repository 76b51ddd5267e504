//! Random faults under load for a given time and seed; see `easycode_e2e::soak`.

use clap::Parser;
use easycode_e2e::soak::{self, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    soak::run(&Options::parse()).await
}
