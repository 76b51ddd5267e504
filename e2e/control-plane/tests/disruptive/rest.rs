//! At rest the operator writes nothing, neither to the API server nor to Postgres; after a restart neither.

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use easycode_crds::SharedPlatform;
use easycode_e2e::{
    cluster::Cluster,
    operator::{Metrics, NAMESPACE, Operator},
    platform::Platform,
    tenant::tenants,
    wait::until,
};
use easycode_operator::{stack::home::Home, tenant::placement::placed_on};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};

/// Longer than the time between two looks into Postgres.
const REST: Duration = Duration::from_secs(45);

/// Counters of what was written, but for the Lease, which is renewed at all times.
fn writes(metrics: &Metrics) -> BTreeSet<String> {
    let is_write = |line: &&str| {
        let object =
            ["POST", "PUT", "PATCH", "DELETE"].iter().any(|method| line.contains(&format!("method=\"{method}\"")));
        let statement = line.starts_with("easycode_operator_sql_statements_total") && line.contains("kind=\"write\"");
        (object && !line.contains("resource=\"leases\"")) || statement
    };
    metrics.0.lines().filter(is_write).map(str::to_owned).collect()
}

/// A tenant that has gone is only missed at the next look at its platform.
async fn counts_are_right(cluster: &Cluster) -> anyhow::Result<()> {
    let all = tenants(cluster).list(&ListParams::default()).await?;
    let platforms: Api<SharedPlatform> = Api::all(cluster.client.clone());
    for platform in platforms.list(&ListParams::default()).await? {
        let home = Home::Platform(platform.name_any());
        let there = all.iter().filter(|tenant| placed_on(tenant).as_ref() == Some(&home)).count();
        let told = platform.status.map(|status| status.tenants);
        ensure!(told == i32::try_from(there).ok(), "{home} tells of {told:?} tenants, and has {there}");
    }
    Ok(())
}

/// Waits until the work of what went before is done.
async fn quiet(operator: &Operator, cluster: &Cluster) -> anyhow::Result<Pod> {
    operator.settled().await;
    let leader = leader(operator).await?;
    until("the operator has nothing to do", Duration::from_mins(1), || async {
        counts_are_right(cluster).await?;
        let before = writes(&operator.metrics(&leader).await?);
        tokio::time::sleep(Duration::from_secs(5)).await;
        ensure!(before == writes(&operator.metrics(&leader).await?), "it still writes");
        Ok(())
    })
    .await;
    Ok(leader)
}

fn reconciles(metrics: &Metrics, controller: &str) -> f64 {
    let wanted = format!("controller=\"{controller}\"");
    metrics.total("easycode_operator_reconciles_total", |labels| labels.contains(&wanted))
}

async fn leader(operator: &Operator) -> anyhow::Result<Pod> {
    let holder = operator.another_leads(None, Duration::from_mins(1)).await;
    operator.pod_of(&holder).await
}

#[tokio::test]
async fn at_rest_nothing_is_written() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    let leader = quiet(&operator, &platform.cluster).await?;
    let before = operator.metrics(&leader).await?;
    tokio::time::sleep(REST).await;
    let after = operator.metrics(&leader).await?;
    ensure!(writes(&before) == writes(&after), "written: {:#?}, then {:#?}", writes(&before), writes(&after));
    let read = |metrics: &Metrics| {
        metrics.total("easycode_operator_sql_statements_total", |labels| labels.contains("kind=\"read\""))
    };
    ensure!(read(&before) < read(&after), "it did not even look");
    Ok(())
}

#[tokio::test]
async fn a_restarted_operator_looks_at_everything_and_writes_nothing() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    quiet(&operator, &platform.cluster).await?;
    let all = u32::try_from(tenants(&platform.cluster).list_metadata(&ListParams::default()).await?.items.len())?;
    let pods: Api<Pod> = Api::namespaced(platform.cluster.client.clone(), NAMESPACE);
    for pod in operator.pods().await? {
        pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    }
    operator.settled().await;
    let leader = leader(&operator).await?;
    until("everything was reconciled", Duration::from_mins(1), || async {
        let metrics = operator.metrics(&leader).await?;
        let (tenants, platforms) = (reconciles(&metrics, "tenant"), reconciles(&metrics, "platform"));
        ensure!(tenants >= f64::from(all) && platforms >= 1.0, "{tenants} of {all} tenants, {platforms} platforms");
        Ok(())
    })
    .await;
    // What it found on the way may have made it look again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let metrics = operator.metrics(&leader).await?;
    ensure!(writes(&metrics).is_empty(), "written: {:#?}", writes(&metrics));
    for tenant in tenants(&platform.cluster).list(&ListParams::default()).await? {
        let ready = tenant.status.iter().flat_map(|status| &status.conditions).find(|one| one.type_ == "Ready");
        ensure!(ready.is_some_and(|ready| ready.reason != "PlatformNotReady"), "{}: {ready:?}", tenant.name_any());
    }
    Ok(())
}

#[tokio::test]
async fn every_replica_answers_probes_and_metrics() -> anyhow::Result<()> {
    let operator = Operator::of(&Cluster::connect().await?);
    operator.settled().await;
    for pod in operator.pods().await? {
        ensure!(operator.get(&pod, "/livez").await? == "ok", "{} is not alive", pod.name_any());
        ensure!(operator.get(&pod, "/readyz").await? == "ok", "{} is not ready", pod.name_any());
        let metrics = operator.metrics(&pod).await?;
        ensure!(metrics.0.contains("# TYPE easycode_operator_leader gauge"), "{}", metrics.0);
        ensure!(metrics.0.ends_with("# EOF\n"), "the metrics are cut off");
    }
    Ok(())
}
