//! What is peculiar to single services: replicas that follow the load, an image, environment and configuration of their own.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use easycode_e2e::{
    own_instance::OwnInstance,
    traffic::{Traffic, all_served},
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::{MENDED, appears, cluster, deployment, goes};

async fn pods_of_crm(own: &OwnInstance) -> anyhow::Result<Vec<Pod>> {
    let selector = "app.kubernetes.io/name=crm,app.kubernetes.io/component=service";
    own.platform.cluster.pods(&own.namespace(), selector).await
}

/// Which pods of CRM there are.
async fn names_of_pods(own: &OwnInstance) -> anyhow::Result<BTreeSet<String>> {
    Ok(pods_of_crm(own).await?.iter().map(ResourceExt::name_any).collect())
}

#[tokio::test]
async fn replicas_follow_the_load_where_it_is_asked_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let fixed = json!({ "services": [{ "name": "crm", "replicas": 2 }] });
    // What its tenant may not use, and what no release has, changes nothing, and is told of.
    let asked = json!({ "services": [
        { "name": "crm", "autoscaling": { "minReplicas": 2, "maxReplicas": 4 } },
        { "name": "pos", "replicas": 3 }, { "name": "crmm", "image": "localhost/easycode/crm:own" },
    ] });
    let own = OwnInstance::apply_new(&cluster, "scaled", fixed).await?;
    own.ready().await;
    let before = names_of_pods(&own).await?;
    own.apply(asked).await?;
    let scaler = appears(&own.platform, Kind::HorizontalPodAutoscaler, "crm").await;
    ensure!(scaler["spec"]["scaleTargetRef"]["name"] == "crm", "{scaler}");
    ensure!(scaler["spec"]["minReplicas"] == 2 && scaler["spec"]["maxReplicas"] == 4, "{scaler}");
    let metric = &scaler["spec"]["metrics"][0]["resource"];
    ensure!(metric["name"] == "cpu" && metric["target"]["averageUtilization"] == 70, "{metric}");
    let replicas = async |wanted: i32| {
        until(&format!("CRM has {wanted} replicas"), MENDED, || async {
            let replicas = deployment(&own, "crm").await?.spec.and_then(|spec| spec.replicas);
            ensure!(replicas == Some(wanted), "{replicas:?}");
            Ok(())
        })
        .await;
    };
    // The least is the autoscaler's to bring about, even where it can measure nothing. Whatever it sets is left alone.
    replicas(2).await;
    own.ready().await;
    ensure!(names_of_pods(&own).await? == before, "pods were ended when the autoscaler took over");
    let told = own.status().await?;
    for sentence in ["from 2 to 4", "pos does not run", "crmm is no service"] {
        ensure!(told.deviations.iter().any(|one| one.contains(sentence)), "{:?}", told.deviations);
    }
    ensure!(told.deviations.len() == 3, "{:?}", told.deviations);
    // Whether the load can be measured is the cluster's. Where it can't, that is said.
    until("what the autoscaler says of itself is told", MENDED, || async {
        let scaler = appears(&own.platform, Kind::HorizontalPodAutoscaler, "crm").await;
        let mut conditions = scaler["status"]["conditions"].as_array().into_iter().flatten();
        let active = conditions.find(|one| one["type"] == "ScalingActive").context("it has measured nothing yet")?;
        let told = own.condition("ServicesAvailable", "True", "").await;
        let idle = told.contains("does not follow the load for crm");
        ensure!(idle == (active["status"] == "False"), "{told}, but {active}");
        Ok(())
    })
    .await;

    own.apply(json!({})).await?;
    goes(&own.platform, Kind::HorizontalPodAutoscaler, "crm").await;
    replicas(1).await;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn an_image_that_can_not_be_had_is_told_of_while_the_other_serves_on() -> anyhow::Result<()> {
    const MISSING: &str = "localhost/easycode/crm:missing";
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "image", json!({})).await?;
    own.ready().await;
    let image_of = async || {
        let spec = deployment(&own, "crm").await?.spec.and_then(|spec| spec.template.spec).context("no spec")?;
        spec.containers[0].image.clone().context("no image")
    };
    let released = image_of().await?;
    let asking = Traffic::calm(own.tenant.request("crm", Method::GET, "/contacts").await?);
    let with = |image: Value| json!({ "services": [{ "name": "crm", "image": image }] });
    own.apply(with(MISSING.into())).await?;
    own.says("ServicesAvailable", "ImageUnavailable", MISSING).await;
    own.condition("Ready", "False", "ImageUnavailable").await;
    let said = own.status().await?.deviations;
    ensure!(said.iter().any(|one| one.contains(MISSING)), "{said:?}");

    // One's own image that can be had: here the released one, by its name.
    own.apply(with(released.clone().into())).await?;
    own.ready().await;
    ensure!(image_of().await? == released, "CRM runs {}", image_of().await?);
    let said = own.status().await?;
    ensure!(said.deviations.iter().any(|one| one.contains(&released)), "{:?}", said.deviations);
    all_served(&asking.end().await?)?;
    own.remove().await
}
