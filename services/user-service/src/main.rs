//! The program.

use std::{env, process::ExitCode};

use anyhow::Context;
use easycode_contract::runtime::STAFF_ACCOUNT;
use easycode_kit::App;
use easycode_user_service::{SERVICE, internal, pages};

fn main() -> ExitCode {
    easycode_kit::run(&SERVICE, |config| async move {
        let staff = env::var(STAFF_ACCOUNT).with_context(|| format!("{STAFF_ACCOUNT} is not set"))?;
        let internal = internal::router(&config, staff)?;
        let app = App::connect(config)?;
        easycode_kit::serve(&SERVICE, app, internal.merge(pages::router())).await
    })
}
