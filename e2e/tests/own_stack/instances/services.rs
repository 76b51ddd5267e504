//! What is peculiar to single services: replicas that follow the load, an image, environment and configuration of their own.

use anyhow::{Context, ensure};
use easycode_e2e::{
    own_instance::OwnInstance,
    traffic::{Traffic, all_served},
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Pod;
use reqwest::Method;
use serde_json::json;

use super::{MENDED, appears, cluster, goes};

async fn pods_of_crm(own: &OwnInstance) -> anyhow::Result<Vec<Pod>> {
    let selector = "app.kubernetes.io/name=crm,app.kubernetes.io/component=service";
    own.platform.cluster.pods(&own.namespace(), selector).await
}

/// The one pod of CRM that serves, once there is just one and it has the environment.
async fn pod_with(own: &OwnInstance, variable: &str, value: &str) -> Pod {
    until(&format!("CRM runs with {variable}={value}"), MENDED, || async {
        let pods = pods_of_crm(own).await?;
        let alive: Vec<_> = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
        ensure!(alive.len() == 1, "{} pods", alive.len());
        let container = &alive[0].spec.as_ref().context("no spec")?.containers[0];
        let found = container.env.iter().flatten().find(|one| one.name == variable).and_then(|one| one.value.clone());
        ensure!(found.as_deref() == Some(value), "it is {found:?}");
        alive.into_iter().next().context("no pod")
    })
    .await
}

#[tokio::test]
async fn environment_and_configuration_reach_the_pods_and_a_change_rolls_out_without_a_gap() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let with = |level: &str, receipt: &str| {
        json!({ "services": [{
            "name": "crm", "env": [{ "name": "APPROVAL_LEVELS", "value": level }], "config": { "receipt.html": receipt },
        }] })
    };
    let own = OwnInstance::apply_new(&cluster, "peculiar", with("2", "<p>one</p>")).await?;
    own.ready().await;
    let pod = pod_with(&own, "APPROVAL_LEVELS", "2").await;
    let mounted = |pod: &Pod| {
        let spec = pod.spec.clone().unwrap_or_default();
        let mounts = spec.containers[0].volume_mounts.clone().unwrap_or_default();
        let mount = mounts.into_iter().find(|mount| mount.mount_path == "/etc/easycode/extra")?;
        let volume = spec.volumes.unwrap_or_default().into_iter().find(|volume| volume.name == mount.name)?;
        volume.config_map.map(|source| source.name)
    };
    ensure!(mounted(&pod).as_deref() == Some("extra-crm"), "the files are not mounted");
    ensure!(
        appears(&own.platform, Kind::ConfigMap, "extra-crm").await["data"] == json!({ "receipt.html": "<p>one</p>" }),
        "other files"
    );
    let said = own.status().await?.deviations;
    ensure!(said.iter().any(|one| one.contains("APPROVAL_LEVELS")), "{said:?}");
    ensure!(said.iter().any(|one| one.contains("receipt.html")), "{said:?}");
    // The operator's own names are not to be had.
    let forged = json!([{ "name": "crm", "env": [{ "name": "EASYCODE_JWKS", "value": "http://forged" }] }]);
    ensure!(own.change(json!({ "services": forged })).await.is_err(), "a name of the operator's own was taken");

    let asking = Traffic::calm(own.tenant.request("crm", Method::GET, "/contacts").await?);
    own.apply(with("3", "<p>one</p>")).await?;
    let second = pod_with(&own, "APPROVAL_LEVELS", "3").await;
    own.ready().await;
    own.apply(with("3", "<p>two</p>")).await?;
    until("another file rolls out, too", MENDED, || async {
        let now = pod_with(&own, "APPROVAL_LEVELS", "3").await;
        ensure!(now.metadata.uid != second.metadata.uid, "it is still the old pod");
        Ok(())
    })
    .await;
    own.ready().await;
    all_served(&asking.end().await?)?;

    own.apply(json!({})).await?;
    goes(&own.platform, Kind::ConfigMap, "extra-crm").await;
    own.ready().await;
    ensure!(own.status().await?.deviations.is_empty(), "{:?}", own.status().await?.deviations);
    own.remove().await
}
