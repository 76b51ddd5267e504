//! Signals to a pod's processes that they can't answer, as a crash or a frozen machine is none. They come from a pod beside it
//! that sees the node's processes and runs as the same user, so it needs no privileges.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::{from_value, json};
use tokio::{process::Command, sync::Mutex};

use crate::{
    cluster::{Cluster, has_nodes},
    platform::postgres_image,
    tenant::fresh_name,
    wait::until,
};

/// With what the id of a container begins that is a process of this machine, before the id of the process.
pub const PROCESS: &str = "process://";
/// Where the senders run: a namespace that every cluster has and lets see its nodes' processes.
const NAMESPACE: &str = "kube-system";
/// Longest life of a sender.
const LIFETIME: Duration = Duration::from_mins(15);

/// Sends `$2` to all processes of the container that was given the host name `$1`. A process is known by its environment,
/// the others by the process namespace that they share with it.
const SEND: &str = r#"
set -eu
found=$(for environment in $(grep -zlsxF "HOSTNAME=$1" /proc/[0-9]*/environ); do readlink "${environment%/environ}/ns/pid"; done | sort -u)
[ -n "$found" ]
for space in $found; do
  number=$(echo "$space" | tr -dc 0-9)
  for process in $(find /proc/[0-9]*/ns/pid -maxdepth 0 -lname "pid:?$number?" 2>/dev/null); do
    process=${process#/proc/}
    kill -s "$2" "${process%/ns/pid}" 2>/dev/null || true
  done
done
"#;

/// Senders of this process by node and user.
static SENDERS: Mutex<BTreeMap<(String, i64), String>> = Mutex::const_new(BTreeMap::new());

/// Makes the sender for the pod, so that a signal is fast when its time has come.
pub async fn prepare(cluster: &Cluster, pod: &Pod) -> anyhow::Result<()> {
    if has_nodes() {
        sender_for(cluster, pod).await?;
    }
    Ok(())
}

async fn sender_for(cluster: &Cluster, pod: &Pod) -> anyhow::Result<String> {
    let spec = pod.spec.as_ref().context("a pod without spec")?;
    let user =
        spec.security_context.as_ref().and_then(|security| security.run_as_user).context("a pod without user")?;
    sender(cluster, &spec.node_name.clone().context("a pod without node")?, user).await
}

/// Sends the signal, such as `KILL`, `STOP` or `CONT`, to every process of the pod.
pub async fn send(cluster: &Cluster, pod: &Pod, signal: &str) -> anyhow::Result<()> {
    if !has_nodes() {
        return send_to_process(cluster, pod, signal).await;
    }
    let sender = sender_for(cluster, pod).await?;
    let command = ["sh", "-c", SEND, "send", &pod.name_any(), signal];
    cluster.exec(NAMESPACE, &sender, &command).await.with_context(|| format!("{signal} to {}", pod.name_any()))?;
    Ok(())
}

/// Sends the signal to the process of this machine that is the pod's container.
async fn send_to_process(cluster: &Cluster, pod: &Pod, signal: &str) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &pod.namespace().unwrap_or_default());
    let status = pods.get(&pod.name_any()).await?.status.context("a pod without status")?;
    let mut ids = status.container_statuses.into_iter().flatten().filter_map(|container| container.container_id);
    let id = ids.find_map(|id| Some(id.strip_prefix(PROCESS)?.to_owned())).context("the pod has no process")?;
    let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().await?;
    ensure!(sent.success(), "{signal} to process {id}: {sent}");
    Ok(())
}

/// The pod that signals to the user's processes on the node.
async fn sender(cluster: &Cluster, node: &str, user: i64) -> anyhow::Result<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let mut senders = SENDERS.lock().await;
    let key = (node.to_owned(), user);
    if let Some(known) = senders.get(&key)
        && pods.get_opt(known).await?.is_some_and(|pod| is_running(&pod))
    {
        return Ok(known.clone());
    }
    let name = fresh_name("signals");
    // A Job, since that goes away by itself, however the test ends.
    let job: Job = from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "activeDeadlineSeconds": LIFETIME.as_secs(), "ttlSecondsAfterFinished": 0, "backoffLimit": 0,
            "template": { "spec": {
                "nodeName": node, "hostPID": true, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "securityContext": { "runAsUser": user, "runAsGroup": user, "runAsNonRoot": true },
                "containers": [{
                    "name": "sender", "image": postgres_image(cluster).await?, "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            } },
        },
    }))?;
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    jobs.create(&PostParams::default(), &job).await?;
    let made = until("a pod that sends signals runs", Duration::from_mins(1), || async {
        let found = cluster.pods(NAMESPACE, &format!("batch.kubernetes.io/job-name={name}")).await?;
        let pod = found.into_iter().next().context("no pod yet")?;
        ensure!(is_running(&pod), "it does not run yet");
        Ok(pod.name_any())
    })
    .await;
    senders.insert(key, made.clone());
    Ok(made)
}

fn is_running(pod: &Pod) -> bool {
    let running = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    running && pod.metadata.deletion_timestamp.is_none()
}
