//! One replica of the operator leads and the others wait; and what it may do, and may not.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::{
    block::Block,
    cluster::Cluster,
    operator::{ACCOUNT, DATABASE_SECRETS, NAMESPACE, Operator},
    platform::Platform,
    signals,
    tenant::{PATIENCE, TestTenant, fresh_name},
    wait::until,
};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::Pod,
    events::v1::Event,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{from_value, json};

/// The Lease lasts 15 s, and who waits looks every other second.
const AFTER_A_CRASH: Duration = Duration::from_secs(20);
/// Who goes in order gives the Lease up.
const AFTER_A_STOP: Duration = Duration::from_secs(5);

fn pods(cluster: &Cluster) -> Api<Pod> {
    Api::namespaced(cluster.client.clone(), NAMESPACE)
}

#[tokio::test]
async fn one_replica_leads_and_the_others_wait() -> anyhow::Result<()> {
    let operator = Operator::of(&Cluster::connect().await?);
    operator.settled().await;
    let holder = operator.another_leads(None, AFTER_A_CRASH).await;
    let pods = operator.pods().await?;
    ensure!(pods.len() >= 2, "{} replicas", pods.len());
    for pod in pods {
        let metrics = operator.metrics(&pod).await?;
        let leads = metrics.total("easycode_operator_leader", |_| true);
        let expected = if holder.starts_with(&format!("{}_", pod.name_any())) { 1.0 } else { 0.0 };
        ensure!((leads - expected).abs() < f64::EPSILON, "{} says {leads}, {holder} holds", pod.name_any());
    }
    Ok(())
}

#[tokio::test]
async fn another_leads_within_twenty_seconds_of_a_crash_and_works() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let holder = operator.another_leads(None, AFTER_A_CRASH).await;
    let leader = operator.pod_of(&holder).await?;
    signals::send(&platform.cluster, &leader, "KILL").await?;
    let killed = Instant::now();
    let tenant = TestTenant::apply_new(&platform, "leader", json!({})).await?;
    let next = operator.another_leads(Some(&holder), AFTER_A_CRASH.saturating_sub(killed.elapsed())).await;
    println!("{next} leads {:?} after {holder} was killed", killed.elapsed());
    tenant.ready().await;
    tenant.erase().await?;
    operator.settled().await;
    Ok(())
}

#[tokio::test]
async fn another_leads_within_five_seconds_when_the_leader_is_stopped() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let holder = operator.another_leads(None, AFTER_A_CRASH).await;
    let leader = operator.pod_of(&holder).await?;
    pods(&platform.cluster).delete(&leader.name_any(), &DeleteParams::default()).await?;
    let stopped = Instant::now();
    let next = operator.another_leads(Some(&holder), AFTER_A_STOP).await;
    println!("{next} leads {:?} after {holder} was stopped", stopped.elapsed());
    operator.settled().await;
    Ok(())
}

#[tokio::test]
async fn a_leader_that_is_stopped_finishes_what_is_under_way_before_it_goes() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let holder = operator.another_leads(None, AFTER_A_CRASH).await;
    let leader = operator.pod_of(&holder).await?;
    let tenant = TestTenant { platform: platform.clone(), name: fresh_name("leader") };
    let block = Block::schema(&platform, "crm", &tenant.role()).await?;
    tenant.apply(json!({})).await?;
    block.reached().await;
    pods(&platform.cluster).delete(&leader.name_any(), &DeleteParams::default()).await?;
    // The operator's patience with a lock is three seconds, of which it has waited at most one.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    ensure!(operator.holder().await?.as_ref() == Some(&holder), "it gave the Lease up amid its work");
    block.lift().await?;
    tenant.ready().await;
    let events: Api<Event> = Api::namespaced(platform.cluster.client.clone(), "default");
    until("the one that was stopped tells what it did", PATIENCE, || async {
        let of_tenant = ListParams::default().fields(&format!("regarding.name={}", tenant.name));
        let told = events.list(&of_tenant).await?.into_iter().find(|one| one.reason.as_deref() == Some("Provisioned"));
        let teller = told.and_then(|told| told.reporting_instance).context("nobody has told yet")?;
        ensure!(teller == leader.name_any(), "{teller} has provisioned it");
        Ok(())
    })
    .await;
    operator.another_leads(Some(&holder), AFTER_A_CRASH).await;
    tenant.erase().await?;
    operator.settled().await;
    Ok(())
}

/// Whether the operator's account may do it.
async fn may(cluster: &Cluster, verb: &str, group: &str, resource: &str, namespace: &str) -> anyhow::Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(ACCOUNT.to_owned()),
            groups: Some(vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                verb: filled(verb),
                group: filled(group),
                resource: filled(resource),
                subresource: filled(subresource),
                namespace: filled(namespace),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.context("no answer")?.allowed)
}

#[tokio::test]
async fn the_operator_may_not_do_what_it_does_not_need() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let (cluster, own) = (&platform.cluster, platform.namespace());
    let rbac = "rbac.authorization.k8s.io";
    // The question itself works: these it needs.
    for (verb, group, resource, namespace) in [
        ("get", "", "secrets", own.as_str()),
        ("get", "", "secrets", DATABASE_SECRETS),
        ("patch", "easycode.io", "tenants/status", ""),
        ("create", "apps", "deployments", own.as_str()),
    ] {
        ensure!(may(cluster, verb, group, resource, namespace).await?, "may not {verb} {resource} in {namespace:?}");
    }
    for (verb, group, resource, namespace) in [
        ("get", "", "secrets", "kube-system"),
        ("list", "", "secrets", ""),
        // The console's session key and client secret are there.
        ("get", "", "secrets", NAMESPACE),
        ("list", "", "secrets", NAMESPACE),
        ("create", "", "secrets", NAMESPACE),
        ("list", "", "secrets", DATABASE_SECRETS),
        ("delete", "", "secrets", own.as_str()),
        ("delete", "", "namespaces", ""),
        ("delete", "", "persistentvolumeclaims", own.as_str()),
        ("delete", "apps", "statefulsets", own.as_str()),
        ("create", "", "pods", own.as_str()),
        ("create", "", "pods/exec", own.as_str()),
        ("create", "", "serviceaccounts/token", own.as_str()),
        ("create", "easycode.io", "tenants", ""),
        ("delete", "easycode.io", "tenants", ""),
        ("update", "easycode.io", "releases", ""),
        ("escalate", rbac, "roles", own.as_str()),
        ("escalate", rbac, "clusterroles", ""),
        ("bind", rbac, "clusterroles", ""),
        ("bind", rbac, "roles", own.as_str()),
        ("create", rbac, "clusterroles", ""),
        ("create", rbac, "clusterrolebindings", ""),
        ("impersonate", "", "users", ""),
        ("impersonate", "", "serviceaccounts", ""),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions", ""),
        ("create", "admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
        ("get", "", "nodes", ""),
        ("*", "*", "*", ""),
    ] {
        ensure!(!may(cluster, verb, group, resource, namespace).await?, "may {verb} {resource} in {namespace:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_can_not_bind_itself_to_more_than_it_has() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let as_operator =
        Cluster::connect_with(&platform.cluster.token_of(NAMESPACE, "easycode-operator", None).await?).await?;
    let binding = |role: &str| -> anyhow::Result<RoleBinding> {
        Ok(from_value(json!({
            "metadata": { "name": fresh_name("rights") },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": "easycode-operator", "namespace": NAMESPACE }],
        }))?)
    };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let bindings = |namespace: &str| Api::<RoleBinding>::namespaced(as_operator.client.clone(), namespace);
    // It binds its own role of Secrets in the namespaces that it makes.
    bindings(&platform.namespace()).create(&params, &binding("easycode-operator-namespace")?).await?;
    for role in ["cluster-admin", "admin", "edit"] {
        let refused = bindings(&platform.namespace()).create(&params, &binding(role)?).await;
        ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{role}: {refused:?}");
    }
    Ok(())
}
