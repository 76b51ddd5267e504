//! The client of the API server, which counts its requests.

use std::sync::Arc;

use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::util::MapRequestLayer;

use super::metrics::Metrics;

/// A client as the environment says (in-cluster, or kubeconfig), counted in the metrics.
pub async fn client(metrics: Arc<Metrics>) -> anyhow::Result<Client> {
    let config = Config::infer().await?;
    let count = MapRequestLayer::new(move |request: http::Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let method = if is_watch { "WATCH" } else { request.method().as_str() };
        metrics.api_request(method, &resource_of(request.uri().path()));
        request
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&count).build())
}

/// The plural name of the resource, with its subresource, in a path of the API.
fn resource_of(path: &str) -> String {
    let mut segments = path.trim_start_matches('/').split('/').peekable();
    // /api/v1/… or /apis/group/version/…
    let skipped = match segments.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return path.to_owned(),
    };
    let mut rest: Vec<_> = segments.skip(skipped).collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    match rest.as_slice() {
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::resource_of;

    #[test]
    fn names_the_resource() {
        for (path, resource) in [
            ("/api/v1/namespaces/a/configmaps/b", "configmaps"),
            ("/api/v1/namespaces/a", "namespaces"),
            ("/apis/easycode.io/v1alpha1/tenants", "tenants"),
            ("/apis/easycode.io/v1alpha1/tenants/acme/status", "tenants/status"),
            ("/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "leases"),
        ] {
            assert_eq!(resource_of(path), resource);
        }
    }
}
