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

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{cluster::Cluster, own_instance::OwnInstance, platform::Platform, wait::until};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::{Value, json};

/// Longest time until what someone broke is mended: objects are watched.
const MENDED: Duration = Duration::from_secs(30);

/// The cluster, with the examples ready.
async fn cluster() -> anyhow::Result<Cluster> {
    Ok(Platform::example().await?.cluster)
}

/// The API of a kind in an instance's namespace.
fn api(own: &OwnInstance, kind: Kind) -> Api<DynamicObject> {
    let (client, resource) = (own.platform.cluster.client.clone(), kind.resource());
    if kind == Kind::Namespace {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &own.namespace(), &resource)
    }
}

/// Waits until an object is there, and returns all of it.
async fn appears(own: &OwnInstance, kind: Kind, name: &str) -> Value {
    let object =
        until(&format!("{kind:?} {name} is there"), MENDED, || async { Ok(api(own, kind).get(name).await?) }).await;
    let mut data = object.data;
    data["metadata"] = json!(object.metadata);
    data
}

/// Waits until an object is gone.
async fn goes(own: &OwnInstance, kind: Kind, name: &str) {
    until(&format!("{kind:?} {name} is gone"), MENDED, || async {
        ensure!(api(own, kind).get_opt(name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await;
}

/// All pods of the instance.
async fn pods(own: &OwnInstance) -> anyhow::Result<Vec<Pod>> {
    own.platform.cluster.pods(&own.namespace(), "").await
}

/// Names of the services that have a Deployment.
async fn services(own: &OwnInstance) -> anyhow::Result<Vec<String>> {
    let all = api(own, Kind::Deployment).list(&ListParams::default()).await?;
    let mut names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// The name of the first contact, by which a tenant's data is known.
async fn first_contact(own: &OwnInstance) -> anyhow::Result<String> {
    let answer = own.tenant.serves(200).await;
    Ok(answer.body["items"][0]["familyName"].as_str().context("no contact")?.to_owned())
}
