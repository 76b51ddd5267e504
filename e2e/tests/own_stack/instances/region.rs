//! Where an instance runs: on nodes of its region with its labels, or nowhere.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{cluster::Cluster, own_instance::OwnInstance};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{appears, cluster, pods};

/// Checks for some seconds that no pod of the instance is on any node.
async fn runs_nowhere(own: &OwnInstance) -> anyhow::Result<()> {
    for _ in 0..5 {
        for pod in pods(own).await? {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            ensure!(node.is_none(), "{} is on {node:?}", pod.name_any());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn label(cluster: &Cluster, node: &str, key: &str, value: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { key: value } } }));
    Api::<Node>::all(cluster.client.clone()).patch(node, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn in_a_region_without_nodes_nothing_runs_elsewhere() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "region", json!({ "location": { "region": "e2e-nowhere" } })).await?;
    let told = own.condition("Scheduled", "False", "NoNodeInRegion").await;
    ensure!(told.contains("postgres-0") && told.contains("nothing is run elsewhere"), "{told}");
    own.condition("Ready", "False", "NoNodeInRegion").await;
    runs_nowhere(&own).await?;
    // Its data must not be moved to where it is not allowed.
    let elsewhere = json!({ "location": { "region": cluster.region().await? } });
    ensure!(own.change(elsewhere).await.is_err(), "the region was changed");
    own.remove().await
}

#[tokio::test]
async fn it_waits_for_a_node_with_its_labels_and_then_runs_there() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let region = cluster.region().await?;
    let toleration = json!({ "key": "easycode.io/e2e-pool", "operator": "Exists", "effect": "NoSchedule" });
    let location = |pool: &str| {
        json!({ "location": {
        "region": region, "nodeSelector": { "easycode.io/e2e-pool": pool }, "tolerations": [toleration],
    } })
    };
    let name = easycode_e2e::tenant::fresh_name("pool");
    let own = OwnInstance::apply_new(&cluster, "pool", location(&name)).await?;
    own.says("Scheduled", "NoNodeInRegion", "postgres-0").await;
    runs_nowhere(&own).await?;

    let of_region = ListParams::default().labels(&format!("topology.kubernetes.io/region={region}"));
    let nodes = Api::<Node>::all(cluster.client.clone()).list(&of_region).await?;
    let node = nodes.iter().next().context("no node")?.name_any();
    label(&cluster, &node, "easycode.io/e2e-pool", json!(name)).await?;
    own.ready().await;
    own.condition("Scheduled", "True", "AsPlanned").await;
    for pod in pods(&own).await? {
        let spec = pod.spec.clone().context("no spec")?;
        ensure!(spec.node_name.as_deref() == Some(&node), "{} is on {:?}", pod.name_any(), spec.node_name);
        let bears = spec.tolerations.iter().flatten().any(|one| one.key.as_deref() == Some("easycode.io/e2e-pool"));
        ensure!(bears, "{} does not tolerate the pool's taint", pod.name_any());
    }
    // What runs when its node loses the label runs on; what is changed then waits.
    label(&cluster, &node, "easycode.io/e2e-pool", Value::Null).await?;
    own.apply({
        let mut spec = location(&name);
        spec["services"] = json!([{ "name": "crm", "replicas": 2 }]);
        spec
    })
    .await?;
    own.says("Scheduled", "NoNodeInRegion", "crm-").await;
    own.tenant.serves(200).await;
    let set = appears(&own.platform, Kind::StatefulSet, "postgres").await;
    ensure!(set["status"]["readyReplicas"] == 1, "{}", set["status"]);
    own.apply(location(&name)).await?;
    own.ready().await;
    own.remove().await
}
