//! What a person would look at first when something was waited for in vain.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};

use crate::{
    cluster::Cluster,
    operator::{NAMESPACE, Operator},
};

/// Longest time for all of it: the cluster itself may be what is broken.
const LONGEST: Duration = Duration::from_secs(15);

/// Most lines of a log.
const LINES: i64 = 25;
/// Most lines of the log of an operator that is a process of this machine.
const PROCESS_LINES: usize = 25;

/// Prints the load of the machine, how its nodes are, who leads, how the operator's containers are, and what it logged last.
pub async fn print() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("--- load of the machine: {}", load.trim());
    match tokio::time::timeout(LONGEST, look()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("--- the cluster can't be looked at: {error:#}"),
        Err(_) => eprintln!("--- the cluster can't be looked at in {LONGEST:?}"),
    }
}

async fn look() -> anyhow::Result<()> {
    let cluster = Cluster::as_it_is().await?;
    for node in Api::<Node>::all(cluster.client.clone()).list(&ListParams::default()).await? {
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = conditions.find(|one| one.type_ == "Ready");
        let (status, message) = ready.map(|one| (&one.status, &one.message)).unzip();
        eprintln!("--- node {}: ready {status:?}, {message:?}", node.name_any());
    }
    if let Some(log) = std::env::var_os("EASYCODE_OPERATOR_LOG") {
        let log = std::fs::read_to_string(log)?;
        let lines: Vec<_> = log.lines().collect();
        eprintln!("--- log of the operator\n{}", lines[lines.len().saturating_sub(PROCESS_LINES)..].join("\n"));
    }
    let operator = Operator::of(&cluster);
    for lease in operator.leases().list(&ListParams::default()).await? {
        let spec = lease.spec.unwrap_or_default();
        let (leader, renewed) = (spec.holder_identity.unwrap_or_default(), spec.renew_time.map(|time| time.0));
        let transitions = spec.lease_transitions.unwrap_or_default();
        eprintln!("--- leader: {leader:?}, renewed at {renewed:?}, after {transitions} transitions");
    }
    let logs: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    for pod in operator.pods().await? {
        let name = pod.name_any();
        let last = LogParams { tail_lines: Some(LINES), ..LogParams::default() };
        let before =
            containers(&pod).any(|one| one.restart_count > 0).then(|| LogParams { previous: true, ..last.clone() });
        for params in before.into_iter().chain([last]) {
            eprintln!("--- log of {name}{}", if params.previous { ", of the container before" } else { "" });
            eprintln!("{}", logs.logs(&name, &params).await.unwrap_or_else(|error| error.to_string()));
        }
    }
    for pod in Api::<Pod>::all(cluster.client.clone()).list(&ListParams::default()).await? {
        for container in containers(&pod).filter(|one| one.restart_count > 0 || !one.ready) {
            let (namespace, name, restarts) =
                (pod.namespace().unwrap_or_default(), pod.name_any(), container.restart_count);
            eprintln!(
                "--- {namespace}/{name}: {restarts} restarts, is {:?}, was {:?}",
                container.state, container.last_state
            );
        }
    }
    Ok(())
}

/// The containers of a pod that is to run.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter().filter(|status| !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
    status.flat_map(|status| status.container_statuses.iter().flatten())
}
