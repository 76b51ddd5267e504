//! What the console's own account may do in the cluster.

use anyhow::ensure;
use easycode_e2e::{cluster::Cluster, console::NAMESPACE};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};

#[tokio::test]
async fn it_writes_tenants_and_instances_and_reads_no_secrets_and_no_pods() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let token = cluster.token_of(NAMESPACE, "easycode-client-admin", None).await?;
    let console = Cluster::connect_with(&token).await?;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(console.client.clone());
    for (verb, group, resource, expected) in [
        ("patch", "easycode.io", "tenants", true),
        ("delete", "easycode.io", "dedicatedinstances", true),
        ("watch", "easycode.io", "releases", true),
        ("list", "events.k8s.io", "events", true),
        ("get", "easycode.io", "tenants/audit", true),
        ("patch", "easycode.io", "sharedplatforms", false),
        ("create", "easycode.io", "releases", false),
        ("patch", "easycode.io", "tenants/status", false),
        ("get", "", "secrets", false),
        ("list", "", "secrets", false),
        ("get", "", "pods", false),
        ("create", "", "pods", false),
        ("create", "", "pods/exec", false),
        ("get", "", "configmaps", false),
        ("delete", "", "namespaces", false),
        ("impersonate", "", "users", false),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings", false),
    ] {
        let (resource, subresource) =
            resource.split_once('/').map_or((resource, None), |(one, other)| (one, Some(other)));
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        ensure!(allowed == expected, "{verb} {resource} {subresource:?}: {allowed}");
    }
    Ok(())
}
