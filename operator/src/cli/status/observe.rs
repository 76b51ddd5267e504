//! Reads what a tenant's tree is made from.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, bail};
use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;

use crate::{
    cli::plan::catalogue::list,
    kubernetes::labels,
    release::choice,
    stack::home::Home,
    tenant::{config_map_name, placement::placed_on},
};

/// A tenant with what belongs to it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The tenant.
    pub tenant: Tenant,
    /// The platform it was placed on, if that exists.
    pub platform: Option<SharedPlatform>,
    /// The instance it was placed on, if that exists.
    pub instance: Option<DedicatedInstance>,
    /// Name of the release that the instance is to run, if there is one.
    pub wanted: Option<String>,
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
    let homes: BTreeSet<_> = tenants.iter().filter_map(placed_on).collect();
    let (mut platforms, mut instances, mut config_maps) = (Vec::new(), Vec::new(), Vec::new());
    for home in &homes {
        let reading = || format!("reading {home}");
        match home {
            Home::Platform(name) => platforms.extend(get(client, name).await.with_context(reading)?),
            Home::Instance(name) => instances.extend(get(client, name).await.with_context(reading)?),
        }
        let namespace = home.namespace();
        let of_tenants = name.map_or_else(|| labels::TENANT.to_owned(), |name| format!("{}={name}", labels::TENANT));
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let listed = api.list(&ListParams::default().labels(&of_tenants)).await;
        config_maps.extend(listed.with_context(|| format!("listing ConfigMaps in {namespace}"))?);
    }
    let (mut channels, mut releases) = (Vec::new(), Vec::new());
    if !instances.is_empty() {
        // Who may not see them sees all else.
        channels = list::<ReleaseChannel>(client).await.unwrap_or_default().into_iter().map(Arc::new).collect();
        releases = list::<Release>(client).await.unwrap_or_default().into_iter().map(Arc::new).collect();
    }
    let events = events(client, name).await?;
    Ok(tenants
        .into_iter()
        .map(|tenant| {
            let home = placed_on(&tenant);
            let namespace = home.as_ref().map(Home::namespace);
            let belongs = |map: &&ConfigMap| map.namespace() == namespace && map.name_any() == config_map_name(&tenant);
            let instance =
                instances.iter().find(|one: &&DedicatedInstance| home == Some(Home::Instance(one.name_any()))).cloned();
            let wanted = instance.as_ref().and_then(|one| choice::choose(&one.spec.release, &channels, &releases).ok());
            Observed {
                platform: platforms
                    .iter()
                    .find(|one: &&SharedPlatform| home == Some(Home::Platform(one.name_any())))
                    .cloned(),
                instance,
                wanted: wanted.map(|release| release.name_any()),
                config_map: config_maps.iter().find(belongs).cloned(),
                events: events.iter().filter(|event| regards(event, &tenant)).cloned().collect(),
                tenant,
            }
        })
        .collect())
}

async fn get<K>(client: &Client, name: &str) -> kube::Result<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Api::<K>::all(client.clone()).get_opt(name).await
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
