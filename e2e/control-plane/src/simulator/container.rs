//! A container with a service: the service itself, in a thread of its own, whose tasks all end with it.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use easycode_contract::runtime::{self, API_PORT, TENANT_SERVICE};
use easycode_kit::{App, Config, Service, config::BODIES_BYTES, migrate, router};
use easycode_listener::Limits;
use easycode_tenant_service::{settings, watch};
use k8s_openapi::api::core::v1::Container as Specified;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

use super::homes::Home;
use crate::control_plane;

/// All services that there is an image of.
const SERVICES: [&Service; 7] = [
    &easycode_crm::SERVICE,
    &easycode_finance::SERVICE,
    &easycode_inventory::SERVICE,
    &easycode_pos::SERVICE,
    &easycode_procurement::SERVICE,
    &easycode_tenant_service::SERVICE,
    &easycode_user_service::SERVICE,
];
/// How often it is asked whether a service is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The first address that pods get, and how many there are.
const FIRST_ADDRESS: u32 = 0x7f40_0000;
const ADDRESSES: u32 = 0x003f_ffff;

/// The service of an image.
pub(super) fn service(program: &str) -> Option<&'static Service> {
    SERVICES.into_iter().find(|service| service.name == program)
}

/// The configuration that a container's environment and mounts give its service.
pub(super) fn configuration(
    service: &'static Service,
    specified: &Specified,
    database: PathBuf,
    identity: &Path,
) -> anyhow::Result<Config> {
    let variable = |name: &str| {
        let found = specified.env.iter().flatten().find(|one| one.name == name)?;
        found.value.clone()
    };
    let name = variable(runtime::SERVICE).unwrap_or_else(|| service.name.to_owned());
    let jwks = variable(runtime::JWKS).context("no keys")?;
    Ok(Config {
        prefix: service.prefix.map_or_else(|| name.clone(), str::to_owned),
        service: name,
        roles: service.roles,
        namespace: variable(runtime::NAMESPACE).context("no namespace")?,
        issuer: variable(runtime::ISSUER).context("no issuer")?,
        jwks: if jwks == runtime::JWKS_FILE { identity.join("jwks.json").to_string_lossy().into_owned() } else { jwks },
        // Names of Services don't resolve here: contexts come by the process, and nothing asks other services.
        user_service: None,
        tenant_service: String::new(),
        base_urls: BTreeMap::new(),
        database,
        identity_token: identity.join("token"),
        connections: variable(runtime::DATABASE_CONNECTIONS).context("no connections")?.parse()?,
        listener: Limits::default(),
        bodies_bytes: BODIES_BYTES,
    })
}

/// Runs a service's migrations as its container would, in a thread of their own.
pub(super) async fn run_migrations(service: &'static Service, config: Config) -> anyhow::Result<()> {
    let (tell, outcome) = oneshot::channel();
    thread::Builder::new().name(format!("migrate-{}", service.name)).spawn(move || {
        let outcome = Builder::new_current_thread().enable_all().build().map_err(Into::into);
        let outcome = outcome.and_then(|runtime| runtime.block_on(migrate::run(&config, service.migrations)));
        // Whoever waits for it may have gone with its pod.
        let _ = tell.send(outcome);
    })?;
    outcome.await.context("the migrations have ended without an outcome")?
}

/// A running service. It ends, with all its tasks and connections, when this is dropped.
pub(super) struct Container {
    /// Address of the pod.
    pub(super) ip: String,
    _stop: oneshot::Sender<()>,
}

impl Container {
    /// Serves, and returns once the service is ready.
    pub(super) async fn start(
        service: &'static Service,
        config: Config,
        home: Home,
        kubeconfig: PathBuf,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ready) = oneshot::channel::<anyhow::Result<String>>();
        thread::Builder::new().name(service.name.to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(service, config, home, kubeconfig, tell) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        let ip = ready.await.context("the service has ended")??;
        Ok(Self { ip, _stop: stop })
    }
}

async fn serve(
    service: &'static Service,
    config: Config,
    home: Home,
    kubeconfig: PathBuf,
    tell: oneshot::Sender<anyhow::Result<String>>,
) {
    let begun = async {
        let app = App::with_contexts(config, home.contexts.clone())?;
        if service.name == TENANT_SERVICE {
            let client = control_plane::client(&kubeconfig).await?;
            tokio::spawn(watch::follow(client, app.config.namespace.clone(), home.publisher.clone()));
            tokio::spawn(settings::follow(app.clone(), home.publisher.clone()));
        }
        let listener = listen(API_PORT).await?;
        // As its own probe tells: contexts, then the database.
        while !app.contexts.is_synced() || app.connections.any().acquire().await.is_err() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok((listener, router(service, &app, Router::new())))
    };
    match begun.await {
        Ok((listener, router)) => {
            let address = listener.local_addr().map(|address| address.ip().to_string());
            // Whoever started it may have gone.
            let _ = tell.send(address.map_err(Into::into));
            easycode_listener::serve(listener, router, Limits::default(), std::future::pending()).await;
        }
        Err(error) => drop(tell.send(Err(error))),
    }
}

/// An address on which the port is free: no other pod has it.
pub(super) async fn free_address(port: u16) -> anyhow::Result<String> {
    Ok(listen(port).await?.local_addr()?.ip().to_string())
}

/// A port on an address that no other pod has.
async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    loop {
        let address = Ipv4Addr::from(FIRST_ADDRESS + rand::random_range(1..ADDRESSES));
        match TcpListener::bind(SocketAddr::from((address, port))).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
}
