//! Looks at where the cluster resolves names: what the operator's own pod asks, the others ask, too.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tracing::{info, warn};

use super::context::Context;
use crate::stack::names::{Names, Resolver, nameservers};

/// Time between two looks: no watch tells, since what is looked at is others' and changes hardly ever.
const INTERVAL: Duration = Duration::from_mins(1);
/// What tells a pod which addresses to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What was seen last.
#[derive(Default)]
pub struct Seen(RwLock<Names>);

impl Seen {
    /// What was seen last; before that, what most clusters have.
    #[must_use]
    pub fn last(&self) -> Names {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps it. Returns whether it is another than before.
    fn keep(&self, names: &Names) -> bool {
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = *last != *names;
        last.clone_from(names);
        is_new
    }
}

/// Looks once, before the first policy is planned.
pub async fn look(context: &Context) {
    if context.options.names().is_some() {
        return;
    }
    let asked = asked().await;
    match observe(&context.client, &asked).await {
        Ok(names) if context.names.keep(&names) => info!(?asked, "names are resolved elsewhere than before"),
        Ok(_) => {}
        // As before, or as on most clusters.
        Err(error) => warn!(%error, "it could not be seen where names are resolved, trying again"),
    }
}

/// Looks from time to time, for ever, and has the policies of all homes changed where it is another place.
pub async fn watch(context: Arc<Context>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let before = context.names.last();
        look(&context).await;
        if before != context.names.last() {
            for home in context.homes() {
                context.triggers.home(&home);
            }
        }
    }
}

/// The addresses that pods ask. Outside of a cluster the machine's own say nothing about pods.
async fn asked() -> Vec<IpAddr> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Vec::new();
    }
    tokio::fs::read_to_string(RESOLV_CONF).await.map(|text| nameservers(&text)).unwrap_or_default()
}

async fn observe(client: &Client, asked: &[IpAddr]) -> kube::Result<Names> {
    let services: Api<Service> = Api::all(client.clone());
    let mut resolvers = Vec::new();
    for address in asked {
        let there = ListParams::default().fields(&format!("spec.clusterIP={address}"));
        for service in services.list(&there).await? {
            resolvers.push(behind(service, client).await?);
        }
    }
    Ok(Names::observed(asked, &resolvers))
}

async fn behind(service: Service, client: &Client) -> kube::Result<Resolver> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &service.namespace().unwrap_or_default());
    let of_it = ListParams::default().labels(&format!("kubernetes.io/service-name={}", service.name_any()));
    Ok(Resolver { service, slices: slices.list(&of_it).await?.items })
}
