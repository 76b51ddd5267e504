//! A new version of the operator, or other settings of it, restart nothing of a platform, nor of an instance.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use easycode_crds::SharedPlatform;
use easycode_e2e::{
    cluster::{checkout, kubeconfig},
    operator::{NAMESPACE, Operator},
    platform::Platform,
    wait::until,
};
use easycode_operator::{kubernetes::object::short_hash, stack::home::Home};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

/// The instance of the examples.
const INSTANCE: &str = "dynamo";

/// What would show that a workload was touched: generations, pods, restarts.
async fn workloads(platform: &Platform) -> anyhow::Result<BTreeMap<String, String>> {
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());
    let mut all = BTreeMap::new();
    for one in Api::<Deployment>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await? {
        all.insert(format!("Deployment {}", one.name_any()), format!("generation {:?}", one.metadata.generation));
    }
    for one in Api::<StatefulSet>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await? {
        all.insert(format!("StatefulSet {}", one.name_any()), format!("generation {:?}", one.metadata.generation));
    }
    for pod in Api::<Pod>::namespaced(client, &namespace).list(&ListParams::default()).await? {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let restarts: i32 = containers.map(|container| container.restart_count).sum();
        all.insert(format!("Pod {}", pod.name_any()), format!("{:?}, {restarts} restarts", pod.uid()));
    }
    ensure!(!all.is_empty(), "nothing runs");
    Ok(all)
}

async fn helm(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(checkout().join("target/bin/helm"))
        .arg("--kubeconfig")
        .arg(kubeconfig())
        .args(["--namespace", NAMESPACE])
        .args(arguments)
        .output()
        .await
        .context("helm, which `make deploy` leaves in target/bin")?;
    ensure!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn an_upgrade_of_the_chart_rolls_the_operator_and_nothing_else() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    operator.settled().await;
    let uids = async || anyhow::Ok(operator.pods().await?.iter().map(ResourceExt::uid).collect::<Vec<_>>());
    let instance = Platform::at(platform.cluster.clone(), Home::Instance(INSTANCE.to_owned()));
    instance.ready(Duration::from_mins(2)).await;
    let all = async || anyhow::Ok((workloads(&platform).await?, workloads(&instance).await?));
    let (workloads_before, operator_before) = (all().await?, uids().await?);
    let chart = checkout().join("charts/easycode").display().to_string();
    let revision = helm(&["get", "metadata", "easycode", "--output", "json"]).await?;
    let revision = serde_json::from_str::<Value>(&revision)?["revision"].to_string();

    let wait = ["--wait", "--timeout", "3m"];
    let change = ["upgrade", "easycode", &chart, "--reset-then-reuse-values", "--set", "tenantConcurrency=32"];
    helm(&[&change[..], &wait].concat()).await?;
    operator.settled().await;
    let operator_after = uids().await?;
    ensure!(operator_after.iter().all(|uid| !operator_before.contains(uid)), "the operator was not rolled");
    platform.ready(Duration::from_mins(2)).await;
    instance.ready(Duration::from_mins(2)).await;
    // It has had time to look at everything.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let workloads_after = all().await?;

    helm(&[&["rollback", "easycode", &revision][..], &wait].concat()).await?;
    operator.settled().await;
    ensure!(workloads_before == workloads_after, "{workloads_before:#?}\nthen\n{workloads_after:#?}");
    Ok(())
}

#[tokio::test]
async fn what_another_version_rendered_runs_on_until_it_is_asked_for() -> anyhow::Result<()> {
    const ASKED: &str = "easycode.io/apply-pending";
    let platform = Platform::example().await?;
    let deployments: Api<Deployment> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let platforms: Api<SharedPlatform> = Api::all(platform.cluster.client.clone());
    let ask = async |value: Value| {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { ASKED: value } } }));
        platforms.patch(&platform.name, &PatchParams::default(), &patch).await
    };
    let pods = |all: BTreeMap<String, String>| -> Vec<_> {
        all.into_iter().filter(|(name, _)| name.starts_with("Pod")).collect()
    };
    platform.condition("UpdatePending", "False", "AsPlanned", Duration::from_secs(10)).await;
    let before = deployments.get("crm").await?;
    let pods_before = pods(workloads(&platform).await?);

    let older = older_rendering(&before)?;
    deployments.patch("crm", &PatchParams::default(), &Patch::Merge(&older)).await?;
    let message = platform.condition("UpdatePending", "True", "OperatorChanged", Duration::from_mins(1)).await;
    ensure!(message.contains("Deployment crm") && message.contains(ASKED), "{message}");
    platform.ready(Duration::from_secs(30)).await;
    // It would have been changed back by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kept = deployments.get("crm").await?;
    let deadline = |one: &Deployment| one.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds);
    ensure!(deadline(&kept) == Some(OLDER), "it was not kept: {:?}", deadline(&kept));

    ask(json!("test")).await?;
    platform.condition("UpdatePending", "False", "AsPlanned", Duration::from_mins(1)).await;
    until("the present rendering is applied", Duration::from_secs(30), || async {
        let now = deployments.get("crm").await?;
        ensure!(now.spec == before.spec, "it is {:?}", now.spec);
        Ok(())
    })
    .await;
    ask(Value::Null).await?;
    until("the mark is as it was", Duration::from_secs(30), || async {
        let now = deployments.get("crm").await?;
        ensure!(now.annotations() == before.annotations(), "{:?}", now.annotations());
        Ok(())
    })
    .await;
    platform.ready(Duration::from_mins(1)).await;
    ensure!(pods_before == pods(workloads(&platform).await?), "a pod was restarted");
    Ok(())
}

/// A deadline that no version of the operator renders.
const OLDER: i32 = 299;

/// A patch that makes a Deployment look as if an older version had rendered it from the same inputs.
fn older_rendering(live: &Deployment) -> anyhow::Result<Value> {
    let annotation = |name: &str| live.annotations().get(name).with_context(|| format!("no annotation {name}"));
    let mut rendering: Value = serde_json::from_str(annotation("easycode.io/rendered")?)?;
    rendering["spec"]["progressDeadlineSeconds"] = OLDER.into();
    let (inputs, _) = annotation("easycode.io/inputs")?.split_once('.').context("a mark without a dot")?;
    let mark = format!("{inputs}.{}", short_hash(&rendering));
    Ok(json!({
        "metadata": { "annotations": { "easycode.io/inputs": mark, "easycode.io/rendered": rendering.to_string() } },
        "spec": { "progressDeadlineSeconds": OLDER },
    }))
}
