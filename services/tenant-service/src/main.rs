//! The program.

use std::process::ExitCode;

use easycode_kit::{App, contexts::Contexts};
use easycode_tenant_service::{SERVICE, internal, publisher::Publisher, services::ServiceVerifier, settings, watch};

fn main() -> ExitCode {
    easycode_kit::run(&SERVICE, |config| async move {
        let client = kube::Client::try_default().await?;
        let verifier = ServiceVerifier::new(client.clone(), &config)?;
        let app = App::with_contexts(config, Contexts::local())?;
        let publisher = Publisher::new(app.contexts.clone());
        tokio::spawn(watch::follow(client, app.config.namespace.clone(), publisher.clone()));
        tokio::spawn(settings::follow(app.clone(), publisher.clone()));
        easycode_kit::serve(&SERVICE, app, internal::router(publisher, verifier)).await
    })
}
