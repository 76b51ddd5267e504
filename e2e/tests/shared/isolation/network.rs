//! Who may connect to whom: what the policies say, and what comes of attacks on them. Policies bind only where the cluster's network enforces
//! them, which is found out by trying; the local cluster's does.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, TENANT_SERVICE};
use easycode_e2e::{
    cluster::Cluster,
    faults::is_local_cluster,
    own_pod::OwnPod,
    platform::{Platform, postgres_image},
    tenant::fresh_name,
    wait::until,
};
use easycode_operator::stack::home::Home;
use k8s_openapi::{
    api::{
        core::v1::{Node, Pod, Service},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

const POSTGRES: u16 = 5432;
const KUBELET: u16 = 10250;
/// Longest time until an engine has learnt of a pod or a policy.
const PROGRAMMED: Duration = Duration::from_secs(30);

/// A pod that connects from a namespace. Remove it at the end.
struct Attacker {
    cluster: Cluster,
    namespace: String,
    name: String,
}

impl Attacker {
    /// Starts it with the labels, and waits until it runs. It is never ready, so that no Service leads to it.
    async fn start(platform: &Platform, namespace: &str, labels: Value) -> anyhow::Result<Self> {
        let cluster = platform.cluster.clone();
        let attacker = Self { cluster, namespace: namespace.to_owned(), name: fresh_name("attacker") };
        let pod = json!({
            "metadata": { "name": attacker.name, "labels": labels },
            "spec": {
                "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false, "enableServiceLinks": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    // The one image that is on every cluster of these tests and has a shell.
                    "name": "c", "image": postgres_image(&attacker.cluster).await?, "command": ["sleep", "600"],
                    "readinessProbe": { "exec": { "command": ["false"] }, "periodSeconds": 600 },
                    "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" } },
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        });
        let pod = serde_json::from_value(pod)?;
        // The service account that a pod needs is made a moment after a namespace.
        until("the attacker is admitted", Duration::from_secs(20), || async {
            Ok(attacker.pods().create(&PostParams::default(), &pod).await?)
        })
        .await;
        until("the attacker runs", Duration::from_mins(1), || async {
            let status = attacker.pods().get(&attacker.name).await?.status.context("no status")?;
            ensure!(status.phase.as_deref() == Some("Running"), "{:?}", status.phase);
            Ok(())
        })
        .await;
        Ok(attacker)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Whether a connection comes about.
    async fn connects(&self, address: &str, port: u16) -> anyhow::Result<bool> {
        let script = format!("timeout 2 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed");
        let printed = self.cluster.exec(&self.namespace, &self.name, &["sh", "-c", &script]).await?;
        Ok(printed.trim() == "open")
    }

    async fn remove(self) -> anyhow::Result<()> {
        self.pods().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Addresses of a home: of the Services of its Postgres, its CRM and its tenant-service, and of the pods behind them.
async fn addresses(platform: &Platform) -> anyhow::Result<Vec<(String, u16)>> {
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());
    let services: Api<Service> = Api::namespaced(client, &namespace);
    let mut found = Vec::new();
    for (service, port) in [("postgres", POSTGRES), ("crm", API_PORT), (TENANT_SERVICE, API_PORT)] {
        let spec = services.get(service).await?.spec.context("no spec")?;
        found.push((spec.cluster_ip.context("no address")?, port));
        let pods = platform.cluster.pods(&namespace, &format!("app.kubernetes.io/name={service}")).await?;
        let running = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let behind: Vec<_> = running.filter_map(|pod| pod.status?.pod_ip).collect();
        ensure!(!behind.is_empty(), "no pod of {service} in {namespace}");
        found.extend(behind.into_iter().map(|address| (address, port)));
    }
    Ok(found)
}

/// Addresses of the cluster itself: of its API server, by Service and behind it, and of each kubelet.
async fn of_the_cluster(cluster: &Cluster) -> anyhow::Result<Vec<(String, u16)>> {
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let api = services.get("kubernetes").await?.spec.and_then(|spec| spec.cluster_ip).context("no address")?;
    let nodes = Api::<Node>::all(cluster.client.clone()).list(&ListParams::default()).await?;
    let of_node = |node: Node| node.status?.addresses?.into_iter().find(|one| one.type_ == "InternalIP");
    let nodes: Vec<_> = nodes.into_iter().filter_map(of_node).map(|one| one.address).collect();
    ensure!(!nodes.is_empty(), "no node has an address");
    let ports = nodes.into_iter().flat_map(|node| [(node.clone(), KUBELET), (node, 6443)]);
    Ok([(api, 443)].into_iter().chain(ports).collect())
}

/// Whether the cluster enforces policies: by a deny-all in a namespace of its own, with a pod that is reached before. The local one must.
async fn enforces(platform: &Platform) -> anyhow::Result<bool> {
    let own = OwnPod::namespace(&platform.cluster, "network").await?;
    let listen = "initdb --pgdata=/tmp/data --username=postgres --auth=reject >/dev/null && \
                  exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp";
    let image = postgres_image(&platform.cluster).await?;
    own.run(999, json!({ "image": image, "command": ["sh", "-euc", listen] }), &json!([]), POSTGRES).await?;
    let attacker = Attacker::start(platform, &own.namespace, json!({})).await?;
    until("the listener is reached", Duration::from_mins(1), || async {
        ensure!(attacker.connects(&own.host(), POSTGRES).await?, "not yet");
        Ok(())
    })
    .await;
    let deny = json!({
        "metadata": { "name": "deny" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    });
    let policies: Api<NetworkPolicy> = Api::namespaced(platform.cluster.client.clone(), &own.namespace);
    policies.create(&PostParams::default(), &serde_json::from_value(deny)?).await?;
    let until = Instant::now() + PROGRAMMED;
    let mut refused = false;
    while !refused && Instant::now() < until {
        refused = !attacker.connects(&own.host(), POSTGRES).await?;
    }
    own.remove().await?;
    ensure!(refused || !is_local_cluster(), "the local cluster enforces no policies");
    if !refused {
        println!("left out: the network of this cluster enforces no policies (a deny-all let connections through)");
    }
    Ok(refused)
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
    if !enforces(&platform).await? {
        return Ok(());
    }
    let own = OwnPod::namespace(&platform.cluster, "stranger").await?;
    let attacker = Attacker::start(&platform, &own.namespace, json!({})).await?;
    let mut reached = Vec::new();
    for (address, port) in addresses(&platform).await? {
        if attacker.connects(&address, port).await? {
            reached.push(format!("{address}:{port}"));
        }
    }
    own.remove().await?;
    ensure!(reached.is_empty(), "reached: {reached:?}");
    Ok(())
}

/// As a CRM would that was taken over: from a client's own namespace, with all labels that a service has.
#[tokio::test]
async fn a_client_reaches_its_own_postgres_and_nothing_of_others_or_of_the_cluster() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    if !enforces(&platform).await? {
        return Ok(());
    }
    let instance = Platform::at(platform.cluster.clone(), Home::Instance("dynamo".to_owned()));
    for (from, to) in [(&instance, &platform), (&platform, &instance)] {
        let labels = json!({
            "app.kubernetes.io/name": "attacker", "app.kubernetes.io/component": "service",
            "easycode.io/database-client": "true", "easycode.io/e2e": "true",
        });
        let attacker = Attacker::start(&platform, &from.namespace(), labels).await?;
        let outcome = takes_over(&attacker, from, to).await;
        attacker.remove().await?;
        outcome.with_context(|| format!("from {} to {}", from.home, to.home))?;
    }
    Ok(())
}

async fn takes_over(attacker: &Attacker, from: &Platform, to: &Platform) -> anyhow::Result<()> {
    let of_cluster = of_the_cluster(&from.cluster).await?;
    // An engine learns of the pod after it has begun to run.
    until("what must be refused is refused", PROGRAMMED, || async {
        ensure!(!attacker.connects(&of_cluster[0].0, of_cluster[0].1).await?, "the API server answers");
        Ok(())
    })
    .await;
    let mut reached = Vec::new();
    for (address, port) in of_cluster.into_iter().chain(addresses(to).await?) {
        if attacker.connects(&address, port).await? {
            reached.push(format!("{address}:{port}"));
        }
    }
    ensure!(reached.is_empty(), "reached: {reached:?}");
    // By name, so that names are resolved, too: nothing is refused for want of a network. Postgres' own policy may learn of the pod last.
    until("its own Postgres is reached", PROGRAMMED, || async {
        ensure!(attacker.connects("postgres", POSTGRES).await?, "it was not reached");
        Ok(())
    })
    .await;
    Ok(())
}
