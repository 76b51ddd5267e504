//! The program.

use std::{env, process::ExitCode};

use anyhow::Context;
use easycode_contract::runtime::{STAFF_ACCOUNT, USER_SERVICE_AUDIENCE};
use easycode_kit::{App, workload::Workloads};
use easycode_user_service::{SERVICE, internal, pages};

fn main() -> ExitCode {
    easycode_kit::run(&SERVICE, |config| async move {
        let staff = env::var(STAFF_ACCOUNT).with_context(|| format!("{STAFF_ACCOUNT} is not set"))?;
        let workloads = Workloads::new(&config, USER_SERVICE_AUDIENCE)?;
        let app = App::connect(config)?;
        easycode_kit::serve(&SERVICE, app, internal::router(workloads, staff).merge(pages::router())).await
    })
}
