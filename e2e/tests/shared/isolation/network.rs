//! Who may connect to whom. Policies bind only where the cluster's network enforces them, which is found out by trying.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, TENANT_SERVICE};
use easycode_e2e::{cluster::Cluster, platform::Platform, tenant::fresh_name, wait::until};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Namespace, Pod, Service},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

const POSTGRES: u16 = 5432;

/// A namespace of its own with a pod that listens and a pod that connects.
struct Stage {
    cluster: Cluster,
    namespace: String,
}

impl Stage {
    async fn set_up(platform: &Platform) -> anyhow::Result<Self> {
        let (cluster, namespace) = (platform.cluster.clone(), fresh_name("network"));
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        namespaces.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        let stage = Self { cluster, namespace };
        // The one image that is on every cluster of these tests and has a shell.
        let sets: Api<StatefulSet> = Api::namespaced(stage.cluster.client.clone(), &platform.namespace());
        let set = sets.get("postgres").await?.spec.and_then(|spec| spec.template.spec).context("no pod template")?;
        let image = set.containers[0].image.clone().context("no image")?;
        let listen = "initdb --pgdata=/tmp/data --username=postgres --auth=reject >/dev/null && \
                      exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp";
        for (name, script) in [("listens", listen), ("connects", "sleep 600")] {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
                "spec": {
                    "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
                    "containers": [{ "name": "c", "image": image, "command": ["sh", "-euc", script] }],
                },
            });
            stage.pods().create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        }
        Ok(stage)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    async fn address_of_listener(&self) -> anyhow::Result<String> {
        self.pods().get("listens").await?.status.and_then(|status| status.pod_ip).context("no address yet")
    }

    /// Whether a connection comes about.
    async fn connects(&self, address: &str, port: u16) -> anyhow::Result<bool> {
        let script = format!("timeout 2 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed");
        let printed = self.cluster.exec(&self.namespace, "connects", &["sh", "-c", &script]).await?;
        Ok(printed.trim() == "open")
    }

    /// Whether a policy that denies everything is enforced.
    async fn enforces(&self) -> anyhow::Result<bool> {
        let listener = until("the listener is reached", Duration::from_mins(1), || async {
            let address = self.address_of_listener().await?;
            ensure!(self.connects(&address, POSTGRES).await?, "not yet");
            Ok(address)
        })
        .await;
        let deny = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "deny" },
            "spec": { "podSelector": { }, "policyTypes": ["Ingress"] },
        });
        let policies: Api<NetworkPolicy> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        policies.create(&PostParams::default(), &serde_json::from_value(deny)?).await?;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !self.connects(&listener, POSTGRES).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn clear(&self) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_platform_denies_all_connections_but_those_it_names() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let policies = policies.list(&ListParams::default()).await?.items;
    let deny = policies.iter().find(|policy| policy.name_any() == "default-deny").context("no default-deny")?;
    let deny = deny.spec.clone().context("no spec")?;
    ensure!(deny.pod_selector.clone().unwrap_or_default() == LabelSelector::default(), "not for all pods: {deny:?}");
    let closed = deny.ingress.iter().flatten().count() == 0 && deny.egress.iter().flatten().count() == 0;
    ensure!(closed, "it lets something in or out: {deny:?}");
    ensure!(deny.policy_types.clone().unwrap_or_default() == ["Ingress", "Egress"], "{deny:?}");
    // Whom Postgres hears: nothing but what is labelled as its client, and the operator.
    let into_postgres: BTreeSet<_> = policies
        .iter()
        .filter_map(|policy| policy.spec.as_ref())
        .filter(|spec| {
            let labels = spec.pod_selector.as_ref().and_then(|selector| selector.match_labels.as_ref());
            labels.is_some_and(|labels| labels.get("app.kubernetes.io/name").is_some_and(|name| name == "postgres"))
        })
        .flat_map(|spec| spec.ingress.iter().flatten().flat_map(|rule| rule.from.iter().flatten()))
        .map(|peer| serde_json::to_string(&peer.pod_selector))
        .collect::<Result<_, _>>()?;
    let expected = [
        r#"{"matchLabels":{"easycode.io/database-client":"true"}}"#,
        r#"{"matchLabels":{"app.kubernetes.io/name":"easycode-operator"}}"#,
    ];
    ensure!(into_postgres == expected.map(str::to_owned).into(), "{into_postgres:?}");
    Ok(())
}

#[tokio::test]
async fn a_pod_of_another_namespace_reaches_nothing_of_a_platform() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let stage = Stage::set_up(&platform).await?;
    let outcome = attack(&platform, &stage).await;
    stage.clear().await?;
    outcome
}

async fn attack(platform: &Platform, stage: &Stage) -> anyhow::Result<()> {
    if !stage.enforces().await? {
        println!("left out: the network of this cluster enforces no policies (a deny-all let connections through)");
        return Ok(());
    }
    let services: Api<Service> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    for (service, port) in [("postgres", POSTGRES), ("crm", API_PORT), (TENANT_SERVICE, API_PORT)] {
        let spec = services.get(service).await?.spec.context("no spec")?;
        let address = spec.cluster_ip.context("no address")?;
        ensure!(!stage.connects(&address, port).await?, "{service} was reached");
    }
    Ok(())
}
