//! Ways from the tests' process to a Service: straight where its address is routed, else forwarded through the API server.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, ResourceExt};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::cluster::{Cluster, has_nodes};

/// Address of a Service's port, as this process can reach it. Forwarding ends with the process.
pub async fn reach(cluster: &Cluster, namespace: &str, service: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    let found = services.get(service).await?;
    let spec = found.spec.context("a Service without spec")?;
    if !has_nodes() {
        // A simulated pod listens on the port of its Service, on an address of this machine.
        let selector = of_labels(spec.selector.unwrap_or_default());
        return address_of(&ready_pod(cluster, namespace, &selector).await?, port);
    }
    let address: SocketAddr = format!("{}:{port}", spec.cluster_ip.unwrap_or_default()).parse()?;
    if is_routed(cluster, address).await {
        return Ok(address);
    }
    forward(cluster, namespace, &of_labels(spec.selector.unwrap_or_default()), port).await
}

/// The selector of pods with these labels.
fn of_labels(labels: BTreeMap<String, String>) -> String {
    let selector: Vec<_> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    selector.join(",")
}

/// A port of a pod.
fn address_of(pod: &Pod, port: u16) -> anyhow::Result<SocketAddr> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without address")?;
    Ok(format!("{address}:{port}").parse()?)
}

/// Address of a port of one of the pods with the labels: straight, else forwarded.
pub async fn reach_pod(cluster: &Cluster, namespace: &str, selector: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let pod = ready_pod(cluster, namespace, selector).await?;
    let address = address_of(&pod, port)?;
    if answers(address).await {
        return Ok(address);
    }
    forward(cluster, namespace, selector, port).await
}

/// Whether the address of a Service is routed from here. Where that of the API server is, it is only the node that may not know yet who
/// is behind this one.
async fn is_routed(cluster: &Cluster, address: SocketAddr) -> bool {
    if answers(address).await {
        return true;
    }
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    let known = services.get("kubernetes").await.ok().and_then(|service| service.spec?.cluster_ip);
    let Some(Ok(known)) = known.map(|ip| format!("{ip}:443").parse()) else { return false };
    if !answers(known).await {
        return false;
    }
    for _ in 0..20 {
        if answers(address).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn answers(address: SocketAddr) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await, Ok(Ok(_)))
}

async fn ready_pod(cluster: &Cluster, namespace: &str, selector: &str) -> anyhow::Result<Pod> {
    let ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let pods = cluster.pods(namespace, selector).await?;
    pods.into_iter().find(ready).with_context(|| format!("no pod {selector} of {namespace} is ready"))
}

async fn forward(cluster: &Cluster, namespace: &str, selector: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let local = listener.local_addr()?;
    let (cluster, namespace, selector) = (cluster.clone(), namespace.to_owned(), selector.to_owned());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (cluster, namespace, selector) = (cluster.clone(), namespace.clone(), selector.clone());
            // A connection that can't be forwarded is closed, which its user sees.
            tokio::spawn(async move { pipe(&cluster, &namespace, &selector, port, connection).await });
        }
    });
    Ok(local)
}

async fn pipe(
    cluster: &Cluster,
    namespace: &str,
    selector: &str,
    port: u16,
    mut connection: TcpStream,
) -> anyhow::Result<()> {
    let pod = ready_pod(cluster, namespace, selector).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let mut forwarder = pods.portforward(&pod.name_any(), &[port]).await?;
    let mut stream = forwarder.take_stream(port).context("no stream")?;
    copy_bidirectional(&mut connection, &mut stream).await?;
    drop(stream);
    Ok(forwarder.join().await?)
}
