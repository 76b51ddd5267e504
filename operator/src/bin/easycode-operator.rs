//! The operator's program.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context as _;
use clap::Parser;
use easycode_listener::Limits;
use easycode_operator::{
    audit, controllers,
    runtime::{
        leader::Leader,
        metrics::Metrics,
        options::Options,
        requests,
        server::{self, Probes},
    },
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let options = Options::parse();
    let metrics = Arc::new(Metrics::default());
    let client = requests::client(Arc::clone(&metrics)).await.context("no way to the API server")?;
    let probes = Probes::default();
    let limits = Limits::of_probes()?;
    tokio::spawn(server::serve(listen(options.listen).await?, probes.clone(), Arc::clone(&metrics), limits));
    tokio::spawn(audit::server::serve(listen(options.audit_listen).await?, client.clone(), limits));

    let mut terminate = signal(SignalKind::terminate())?;
    let leader = Leader::new(client.clone(), &options.namespace, &options.pod_name);
    // A replica that waits for the lease is ready to take over.
    probes.ready.store(true, Ordering::Relaxed);
    tokio::select! {
        () = leader.acquire() => {}
        _ = terminate.recv() => return Ok(()),
    }
    metrics.leads(true);

    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        info!("asked to stop, finishing what is under way");
        stopping.cancel();
    });
    tokio::select! {
        outcome = controllers::run(client, options, Arc::clone(&metrics), stop) => {
            leader.release().await;
            outcome
        }
        () = leader.keep() => {
            error!("the lease is lost; ending at once, since another replica may work now");
            std::process::exit(1)
        }
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}
