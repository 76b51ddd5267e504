//! The operator's own probes: they run when asked to, say when they did, and notice what gets through.

use std::time::Duration;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::runtime::{USER_SERVICE, base_url};
use easycode_e2e::{
    cluster::Cluster,
    faults::is_local_cluster,
    isolation::{TURN, ask, verdict},
    operator::Operator,
    own_instance::OwnInstance,
    platform::Platform,
    tenant::TestTenant,
    wait::until,
};
use easycode_operator::isolation::network::JOB;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Secret, events::v1::Event, networking::v1::NetworkPolicy},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

/// Whether nothing got through. Clusters of others may not enforce policies, which is said then.
fn is_well(condition: &Condition) -> bool {
    condition.status == "True" || !is_local_cluster() && condition.reason == "NetworkNotEnforced"
}

#[tokio::test]
async fn a_probe_says_when_it_was_and_notices_what_gets_through_and_that_it_was_mended() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "probe", json!({})).await?;
    notices(&tenant).await?;
    tenant.erase().await
}

#[tokio::test]
async fn a_probe_of_an_instance_notices_what_gets_through_there() -> anyhow::Result<()> {
    let own = OwnInstance::apply_new(&Cluster::connect().await?, "probed", json!({})).await?;
    own.ready().await;
    notices(&own.tenant).await?;
    notices_a_policy(&own).await?;
    own.remove().await
}

/// Adds a policy that is not the operator's to an instance's namespace, and takes it away again: it is told of by name.
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

/// Opens a tenant's data to others where it lives, and closes it again: either is told of.
async fn notices(tenant: &TestTenant) -> anyhow::Result<()> {
    let platform = &tenant.platform;
    let first = verdict(tenant, ask(platform).await?).await;
    ensure!(is_well(&first), "{first:?}");
    println!("{} {}: {}", first.status, first.reason, first.message);
    ensure!(!alarm(platform).await?, "the metric tells of a breach");

    // As someone with a superuser's rights might do, thinking it harmless.
    let role = tenant.role();
    platform.sql("crm", &format!("GRANT USAGE ON SCHEMA {role} TO svc_crm")).await?;
    platform.sql("crm", &format!("GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO svc_crm")).await?;
    let breached = verdict(tenant, ask(platform).await?).await;
    ensure!(breached.status == "False" && breached.reason == "IsolationBreached", "{breached:?}");
    ensure!(breached.message.contains(&role) && breached.message.contains("svc_crm"), "{}", breached.message);
    platform.condition("IsolationVerified", "False", "IsolationBreached", TURN).await;
    warned(platform, "IsolationBreached").await;
    ensure!(alarm(platform).await?, "the metric tells of no breach");
    // Its people are served on: it is for ops to say what is to be done.
    tenant.serves(200).await;

    platform.sql("crm", &format!("REVOKE ALL ON ALL TABLES IN SCHEMA {role} FROM svc_crm")).await?;
    platform.sql("crm", &format!("REVOKE ALL ON SCHEMA {role} FROM svc_crm")).await?;
    let mended = verdict(tenant, ask(platform).await?).await;
    ensure!(is_well(&mended), "{mended:?}");
    ensure!(!alarm(platform).await?, "the metric still tells of a breach");
    Ok(())
}

/// Whether the metric by which the alert fires tells of a breach.
async fn alarm(platform: &Platform) -> anyhow::Result<bool> {
    let operator = Operator::of(&platform.cluster);
    let leader = operator.pod_of(&operator.holder().await?.context("nobody leads")?).await?;
    let home = format!("home=\"{}\"", platform.home);
    let metrics = operator.metrics(&leader).await?;
    Ok(metrics.total("easycode_operator_isolation_breached", |labels| labels.contains(&home)) > 0.0)
}

/// Waits for the event with the reason at the home.
async fn warned(platform: &Platform, reason: &str) {
    let api: Api<Event> = Api::namespaced(platform.cluster.client.clone(), "default");
    let (kind, name) = (platform.home.kind(), &platform.name);
    let of_it = format!("regarding.kind={kind},regarding.name={name},reason={reason}");
    until("a warning is sent", Duration::from_secs(20), || async {
        let events = api.list(&ListParams::default().fields(&of_it)).await?;
        ensure!(!events.items.is_empty(), "no event");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_probes_pod_has_no_rights_and_no_secret_but_a_token_that_opens_nothing() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api: Api<Job> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let job = until("there is a probe's job", TURN, || async { Ok(api.get(JOB).await?) }).await;
    let pod = job.spec.and_then(|spec| spec.template.spec).context("no pod")?;
    ensure!(pod.automount_service_account_token == Some(false), "it has a token");
    let volumes = pod.volumes.unwrap_or_default();
    let mounted: Vec<_> =
        volumes.iter().map(|volume| volume.secret.as_ref().and_then(|one| one.secret_name.as_deref())).collect();
    ensure!(mounted == [Some(JOB)], "it mounts {volumes:?}");
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    // Made for the last turn, if there was another home then.
    if let Some(secret) = secrets.get_opt(JOB).await? {
        let data = secret.data.unwrap_or_default();
        let token = data.get("token").filter(|_| data.len() == 1).context("more than a token")?;
        let claims = std::str::from_utf8(&token.0)?.split('.').nth(1).context("no JWT")?;
        let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
        ensure!(
            claims["roles"] == json!([]) && claims["iss"] != json!(base_url(USER_SERVICE, &platform.namespace())),
            "{claims}"
        );
        let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(until, from)| until - from);
        ensure!(life.is_some_and(|seconds| seconds <= 180), "{claims}");
    }
    ensure!(pod.containers.len() == 1 && pod.containers[0].env_from.is_none(), "{:?}", pod.containers);
    Ok(())
}
