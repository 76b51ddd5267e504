//! The program.

use std::{env, path::Path, process::ExitCode};

use anyhow::Context;
use easycode_contract::runtime::{
    PRIVATE_ISSUERS, SIGNING_KEYS_DIR, STAFF_ACCOUNT, TENANT_SERVICE_AUDIENCE, USER_SERVICE_AUDIENCE,
};
use easycode_kit::{App, workload::Workloads};
use easycode_user_service::{
    SERVICE,
    internal::{self, Access},
    pages,
    realm::Shared,
};

fn main() -> ExitCode {
    easycode_kit::run(&SERVICE, |config| async move {
        let access = Access {
            staff: Workloads::new(&config, USER_SERVICE_AUDIENCE)?,
            staff_account: env::var(STAFF_ACCOUNT).with_context(|| format!("{STAFF_ACCOUNT} is not set"))?,
            services: Workloads::new(&config, TENANT_SERVICE_AUDIENCE)?,
        };
        let shared = Shared::new(Path::new(SIGNING_KEYS_DIR), &env::var(PRIVATE_ISSUERS).unwrap_or_default());
        let app = App::connect(config)?.with(shared);
        easycode_kit::serve(&SERVICE, app, internal::router(access).merge(pages::router())).await
    })
}
