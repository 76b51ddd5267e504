//! Dedicated instances: what one is made of, how it is changed, and what becomes of it and its neighbours when something
//! of it is attacked, broken or taken away.

mod bounds;
mod deletion;
mod faults;
mod neighbours;
mod objects;
mod region;
mod services;
mod stack;

use anyhow::Context;
use easycode_e2e::objects::{MENDED, api, appears, goes};
use easycode_e2e::{cluster::Cluster, own_instance::OwnInstance, platform::Platform};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ListParams};

/// The cluster, with the examples ready.
async fn cluster() -> anyhow::Result<Cluster> {
    Ok(Platform::example().await?.cluster)
}

/// All pods of the instance.
async fn pods(own: &OwnInstance) -> anyhow::Result<Vec<Pod>> {
    own.platform.cluster.pods(&own.namespace(), "").await
}

/// Names of the services that have a Deployment.
async fn services(own: &OwnInstance) -> anyhow::Result<Vec<String>> {
    let all = api(&own.platform, Kind::Deployment).list(&ListParams::default()).await?;
    let mut names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// The name of the first contact, by which a tenant's data is known.
async fn first_contact(own: &OwnInstance) -> anyhow::Result<String> {
    let answer = own.tenant.serves(200).await;
    Ok(answer.body["items"][0]["familyName"].as_str().context("no contact")?.to_owned())
}
