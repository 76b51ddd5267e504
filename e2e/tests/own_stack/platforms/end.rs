//! The end of a platform: not while tenants are on it, and never of its data.

use std::time::Duration;

use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    own_platform::{OwnPlatform, remove_namespace},
    platform::Platform,
    tenant::TestTenant,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Namespace, PersistentVolumeClaim, Secret},
};
use kube::{Api, api::ListParams};
use serde_json::json;

#[tokio::test]
async fn a_platform_stays_while_tenants_are_on_it_and_leaves_all_data_when_it_goes() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "end", json!({})).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "end", json!({})).await?;
    tenant.serves(200).await;

    own.delete().await?;
    let told = own.platform.condition("Ready", "False", "InUse", Duration::from_secs(30)).await;
    ensure!(told.contains(&tenant.name), "{told}");
    tenant.serves(200).await;
    tenant.erase().await?;
    own.gone().await;

    let (client, namespace) = (cluster.client.clone(), own.platform.namespace());
    let kept = Api::<Namespace>::all(client.clone()).get(&namespace).await?;
    ensure!(kept.metadata.deletion_timestamp.is_none(), "the namespace goes, too");
    Api::<StatefulSet>::namespaced(client.clone(), &namespace).get("postgres").await?;
    Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace).get("data-postgres-0").await?;
    for secret in ["postgres-operator", "database-svc-crm", "database-mig-crm"] {
        Api::<Secret>::namespaced(client.clone(), &namespace).get(secret).await?;
    }
    ensure!(
        own.platform.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'crm'").await? == "1",
        "no data"
    );
    let services = Api::<Deployment>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await?;
    ensure!(services.items.is_empty(), "{} services still run", services.items.len());
    remove_namespace(&cluster, &namespace).await
}
