//! The program.

use std::process::ExitCode;

use easycode_contract::runtime::TENANT_SERVICE_AUDIENCE;
use easycode_kit::{App, contexts::Contexts, workload::Workloads};
use easycode_tenant_service::{SERVICE, internal, publisher::Publisher, settings, watch};

fn main() -> ExitCode {
    easycode_kit::run(&SERVICE, |config| async move {
        let client = kube::Client::try_default().await?;
        let workloads = Workloads::new(&config, TENANT_SERVICE_AUDIENCE)?;
        let app = App::with_contexts(config, Contexts::local())?;
        let publisher = Publisher::new(app.contexts.clone());
        tokio::spawn(watch::follow(client, app.config.namespace.clone(), publisher.clone()));
        tokio::spawn(settings::follow(app.clone(), publisher.clone()));
        easycode_kit::serve(&SERVICE, app, internal::router(publisher, workloads)).await
    })
}
