//! The console of EasyCode's staff, as they use it: by its pages and by its API, signed in by the demo's identity provider.

mod browser;
mod program;

use std::fs;

use anyhow::Context;

pub use self::{browser::Browser, program::Program};
use crate::cluster::checkout;

/// Namespace of the console.
pub const NAMESPACE: &str = "easycode-system";
/// Where the console says that it is.
pub const CONSOLE: &str = "http://localhost:8088";
/// Where its identity provider is.
pub const PROVIDER: &str = "http://localhost:9998";

/// A file that the demo has made for its staff.
pub fn demo(file: &str) -> anyhow::Result<String> {
    let path = checkout().join("target/demo/people").join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}; run `make deploy`", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Name and password of one of the demo's staff.
fn person(who: &str) -> anyhow::Result<(String, String)> {
    Ok((format!("{who}@easycode.example"), demo("password")?))
}
