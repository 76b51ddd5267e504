//! The operator's own probes of an instance.

use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    faults::is_local_cluster,
    own_instance::OwnInstance,
    probes::{TURN, notices, warned},
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn a_probe_of_an_instance_notices_what_gets_through_there() -> anyhow::Result<()> {
    let own = OwnInstance::apply_new(&Cluster::connect().await?, "probed", json!({})).await?;
    own.ready().await;
    notices(&own.tenant).await?;
    notices_a_policy(&own).await?;
    own.remove().await
}

/// Adds a policy that is not the operator's to an instance's namespace, and removes it again: it is told of by name.
async fn notices_a_policy(own: &OwnInstance) -> anyhow::Result<()> {
    let policies: Api<NetworkPolicy> = Api::namespaced(own.platform.cluster.client.clone(), &own.namespace());
    let theirs = json!({
        "metadata": { "name": "lets-all-in" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] },
    });
    policies.create(&PostParams::default(), &serde_json::from_value(theirs)?).await?;
    if is_local_cluster() {
        let told = own.platform.condition("IsolationVerified", "Unknown", "OpenedByPolicy", TURN).await;
        ensure!(told.contains("NetworkPolicy lets-all-in "), "{told}");
        warned(&own.platform, "OpenedByPolicy").await;
    }
    policies.delete("lets-all-in", &DeleteParams::default()).await?;
    if is_local_cluster() {
        own.platform.condition("IsolationVerified", "True", "AsPlanned", TURN).await;
    }
    Ok(())
}
