//! Reads what a tenant's tree is made from.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use easycode_crds::{SharedPlatform, Tenant};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::{
    kubernetes::labels,
    platform::namespace_of,
    tenant::{config_map_name, placement::placed_on},
};

/// A tenant with what belongs to it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The tenant.
    pub tenant: Tenant,
    /// The platform it was placed on, if that exists.
    pub platform: Option<SharedPlatform>,
    /// The ConfigMap with its context.
    pub config_map: Option<ConfigMap>,
    /// What was told of it.
    pub events: Vec<Event>,
}

/// Reads one tenant, or all.
pub async fn observe(client: &Client, name: Option<&str>) -> anyhow::Result<Vec<Observed>> {
    let api: Api<Tenant> = Api::all(client.clone());
    let tenants = match name {
        Some(name) => match api.get_opt(name).await.context("reading the tenant")? {
            Some(tenant) => vec![tenant],
            None => bail!("Tenant {name} does not exist"),
        },
        None => api.list(&ListParams::default()).await.context("listing tenants")?.items,
    };
    let platforms: BTreeSet<_> = tenants.iter().filter_map(placed_on).map(str::to_owned).collect();
    let (mut found, mut config_maps) = (Vec::new(), Vec::new());
    for platform in &platforms {
        let api: Api<SharedPlatform> = Api::all(client.clone());
        found.extend(api.get_opt(platform).await.with_context(|| format!("reading SharedPlatform {platform}"))?);
        let namespace = namespace_of(platform);
        let of_tenants = name.map_or_else(|| labels::TENANT.to_owned(), |name| format!("{}={name}", labels::TENANT));
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let listed = api.list(&ListParams::default().labels(&of_tenants)).await;
        config_maps.extend(listed.with_context(|| format!("listing ConfigMaps in {namespace}"))?);
    }
    let events = events(client, name).await?;
    Ok(tenants
        .into_iter()
        .map(|tenant| {
            let platform = placed_on(&tenant);
            let namespace = platform.map(namespace_of);
            let belongs = |map: &&ConfigMap| map.namespace() == namespace && map.name_any() == config_map_name(&tenant);
            Observed {
                platform: found.iter().find(|one| Some(one.name_any().as_str()) == platform).cloned(),
                config_map: config_maps.iter().find(belongs).cloned(),
                events: events.iter().filter(|event| regards(event, &tenant)).cloned().collect(),
                tenant,
            }
        })
        .collect())
}

/// Events of objects without a namespace are in `default`.
async fn events(client: &Client, name: Option<&str>) -> anyhow::Result<Vec<Event>> {
    let selector = match name {
        Some(name) => format!("regarding.kind=Tenant,regarding.name={name}"),
        None => "regarding.kind=Tenant".to_owned(),
    };
    let api: Api<Event> = Api::namespaced(client.clone(), "default");
    Ok(api.list(&ListParams::default().fields(&selector)).await.context("listing events")?.items)
}

/// By uid, since an earlier tenant may have had the name.
fn regards(event: &Event, tenant: &Tenant) -> bool {
    event.regarding.as_ref().is_some_and(|regarding| regarding.uid == tenant.metadata.uid)
}
