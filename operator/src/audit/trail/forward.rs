//! The way to a Postgres in the cluster: a port of this machine, forwarded through the API server.

use anyhow::Context;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::postgres::credentials::Credentials;

/// The same login by an address that this machine reaches: that of a Service is forwarded, for one connection; any other is
/// taken as it is.
pub async fn forward(client: &Client, server: Credentials) -> anyhow::Result<Credentials> {
    let Some((service, namespace)) = in_cluster(&server.host) else { return Ok(server) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let (pod, port) = target(client, &pods, namespace, service, server.port).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let local = listener.local_addr()?;
    tokio::spawn(async move {
        let (connection, _) = listener.accept().await?;
        pipe(&pods, &pod, port, connection).await
    });
    // The certificate is for the Service's name; that its authority signed it is what can be checked here.
    let sslmode = if server.sslmode == "verify-full" { "verify-ca".to_owned() } else { server.sslmode.clone() };
    Ok(Credentials { host: local.ip().to_string(), port: local.port(), sslmode, ..server })
}

/// Service and namespace of a name that only the cluster can resolve.
fn in_cluster(host: &str) -> Option<(&str, &str)> {
    match *host.trim_end_matches('.').split('.').collect::<Vec<_>>() {
        [service, namespace, "svc"] | [service, namespace, "svc", "cluster", "local"] => Some((service, namespace)),
        _ => None,
    }
}

/// A ready pod behind the Service, and its port.
async fn target(
    client: &Client,
    pods: &Api<Pod>,
    namespace: &str,
    service: &str,
    port: u16,
) -> anyhow::Result<(String, u16)> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let found = services.get(service).await.with_context(|| format!("reading Service {namespace}/{service}"))?;
    let selector = found.spec.and_then(|spec| spec.selector).unwrap_or_default();
    let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let candidates = pods.list(&ListParams::default().labels(&selector.join(","))).await.context("listing pods")?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let pod = candidates.items.into_iter().find(ready);
    let pod = pod.with_context(|| format!("no pod of Service {namespace}/{service} is ready"))?;
    Ok((pod.name_any(), port))
}

async fn pipe(pods: &Api<Pod>, pod: &str, port: u16, mut connection: TcpStream) -> anyhow::Result<()> {
    let mut forwarder = pods.portforward(pod, &[port]).await?;
    let mut stream = forwarder.take_stream(port).context("no stream")?;
    copy_bidirectional(&mut connection, &mut stream).await?;
    drop(stream);
    Ok(forwarder.join().await?)
}

#[cfg(test)]
mod tests {
    use super::in_cluster;

    #[test]
    fn only_names_of_services_are_forwarded() {
        assert_eq!(in_cluster("postgres.easycode-platform-eu1.svc"), Some(("postgres", "easycode-platform-eu1")));
        assert_eq!(in_cluster("postgres-rw.a.svc.cluster.local."), Some(("postgres-rw", "a")));
        assert_eq!(in_cluster("db.svc.example.com"), None);
        assert_eq!(in_cluster("10.0.0.1"), None);
    }
}
