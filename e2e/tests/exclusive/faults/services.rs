//! The services themselves die or freeze.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_contract::{context::TenantContext, runtime::CONTEXT_KEY};
use easycode_crds::SharedPlatform;
use easycode_e2e::{
    platform::Platform,
    signals,
    tenant::{PATIENCE, TestTenant},
    traffic::{EFFECTIVE, Seen, Traffic, all_served, count},
    wait::{as_soon_as, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use reqwest::Method;
use serde_json::{Value, json};

/// The pod of a service that has one.
async fn pod_of(platform: &Platform, service: &str) -> anyhow::Result<Pod> {
    let pods = platform.cluster.pods(&platform.namespace(), &format!("app.kubernetes.io/name={service}")).await?;
    let alive = pods.into_iter().find(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod.labels().get("app.kubernetes.io/component").is_some_and(|one| one == "service")
    });
    alive.with_context(|| format!("no pod of {service}"))
}

/// Waits until the operator has published a context that is as wanted, and returns when that was seen.
async fn published(tenant: &TestTenant, wanted: impl Fn(&TenantContext) -> bool) -> Instant {
    as_soon_as("the operator publishes the change", PATIENCE, || async {
        let published = tenant.config_map().await?.context("no ConfigMap")?;
        let document = published.data.as_ref().and_then(|data| data.get(CONTEXT_KEY)).context("an empty ConfigMap")?;
        ensure!(wanted(&serde_json::from_str(document)?), "not yet");
        Ok(Instant::now())
    })
    .await
}

async fn ask(tenant: &TestTenant, path: &str) -> anyhow::Result<Traffic> {
    Ok(Traffic::calm(tenant.request("crm", Method::GET, path).await?))
}

fn served_after(seen: &[Seen], time: Instant) -> Option<&Seen> {
    seen.iter().find(|one| one.asked > time && one.status == 200)
}

#[tokio::test]
async fn a_suspension_made_while_tenant_service_is_dead_is_in_force_within_a_second() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "fault", json!({})).await?;
    tenant.serves(200).await;
    let asking = ask(&tenant, "/contacts").await?;

    let pod = pod_of(&platform, "tenant-service").await?;
    signals::send(&platform.cluster, &pod, "KILL").await?;
    tenant.change(json!({ "state": "Suspended" })).await?;
    let suspended = published(&tenant, |context| !context.allows("crm")).await;
    let refused = tenant.serves(403).await;
    // Both know it: the services by the context, Postgres by the membership that is gone.
    ensure!(["tenant-suspended", "not-entitled"].contains(&refused.code()), "{refused:?}");
    until("CRM has the context again", PATIENCE, || async {
        let answer = tenant.read("/contacts").await?;
        ensure!(answer.code() == "tenant-suspended", "{answer:?}");
        Ok(())
    })
    .await;
    tokio::time::sleep_until((suspended + 2 * EFFECTIVE).into()).await;
    let seen = asking.end_to_judge().await?;
    println!("{} served, {} refused, {} put off", count(&seen, 200), count(&seen, 403), count(&seen, 503));
    let late = served_after(&seen, suspended + EFFECTIVE);
    ensure!(late.is_none(), "served {:?} after the suspension", late.map(|one| one.asked - suspended));
    let other = seen.iter().find(|one| ![200, 403, 503].contains(&one.status));
    ensure!(other.is_none(), "{other:?}");
    tenant.erase().await
}

#[tokio::test]
async fn while_tenant_service_is_frozen_nothing_is_served_by_rules_older_than_a_second() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    // A module is known to the context alone: Postgres would not refuse it.
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let tenant = TestTenant::create(&platform, "fault", entitled).await?;
    until("the module is served", PATIENCE, || async {
        let answer = tenant.read("/campaigns").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await;
    let asking = ask(&tenant, "/campaigns").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let pod = pod_of(&platform, "tenant-service").await?;
    signals::send(&platform.cluster, &pod, "STOP").await?;
    let frozen = Instant::now();
    tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    published(&tenant, |context| !context.allows_module("crm", "campaigns")).await;
    // Less than its probes take to notice, so that it is the same process that goes on.
    tokio::time::sleep_until((frozen + Duration::from_secs(4)).into()).await;
    let thawed = Instant::now();
    signals::send(&platform.cluster, &pod, "CONT").await?;
    until("the change is in force", PATIENCE, || async {
        let answer = tenant.read("/campaigns").await?;
        ensure!(answer.code() == "module-not-entitled", "{answer:?}");
        Ok(())
    })
    .await;
    tokio::time::sleep_until((thawed + 3 * EFFECTIVE).into()).await;
    let seen = asking.end_to_judge().await?;
    println!("{} served, {} refused, {} put off", count(&seen, 200), count(&seen, 403), count(&seen, 503));

    let during = |one: &&Seen| one.asked > frozen + EFFECTIVE && one.asked + one.took < thawed;
    let wrong = seen.iter().filter(during).find(|one| one.status != 503);
    ensure!(wrong.is_none(), "answered by old rules: {wrong:?}");
    ensure!(seen.iter().filter(during).count() > 0, "nothing was asked meanwhile");
    let late = served_after(&seen, thawed + EFFECTIVE);
    ensure!(late.is_none(), "still served after the thaw: {late:?}");
    tenant.erase().await
}

#[tokio::test]
async fn no_request_is_lost_while_one_of_two_replicas_goes() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "fault", json!({})).await?;
    let api: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
    let before = api.get(&platform.name).await?.spec.services;
    let resize = async |services: Value| {
        let patch = Patch::Merge(json!({ "spec": { "services": services } }));
        api.patch(&platform.name, &PatchParams::default(), &patch).await?;
        platform.ready(Duration::from_mins(2)).await;
        anyhow::Ok(())
    };
    resize(json!([{ "name": "crm", "replicas": 2 }])).await?;

    // A connection each, as from many users.
    let http = easycode_kit::http::builder().pool_max_idle_per_host(0).build()?;
    let url = format!("{}/contacts", platform.service("crm").await?);
    let request = http.get(url).bearer_auth(tenant.token()?).timeout(Duration::from_secs(10));
    let asking: Vec<_> =
        (0..4).map(|_| Traffic::calm(request.try_clone().expect("a request without a body can be repeated"))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pod = pod_of(&platform, "crm").await?;
    let pods: Api<Pod> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    until("the pod is gone", PATIENCE, || async {
        ensure!(pods.get_opt(&pod.name_any()).await?.is_none(), "it is still there");
        Ok(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for asking in asking {
        all_served(&asking.end().await?)?;
    }
    resize(json!(before)).await?;
    tenant.erase().await
}
