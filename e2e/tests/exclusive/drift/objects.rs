//! Objects: made again, or changed back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::{platform::Platform, wait::until};
use easycode_operator::kubernetes::object::{Kind, Planned};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

/// Longest time until a changed object is as planned again.
const WATCHED: Duration = Duration::from_secs(15);

fn api(platform: &Platform, kind: Kind) -> Api<DynamicObject> {
    let (client, resource) = (platform.cluster.client.clone(), kind.resource());
    if kind == Kind::Namespace {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &platform.namespace(), &resource)
    }
}

/// What of an object says how it is meant: all but what the API server and controllers add.
fn meant(object: &DynamicObject) -> Value {
    let mut body = object.data.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    json!({ "labels": object.metadata.labels, "body": body })
}

/// The paths at which an object is not as it was, and what is new in it.
fn differences(before: &Value, now: &Value) -> String {
    let lacking = |body: &Value, live: &Value| {
        let planned =
            Planned { kind: Kind::Deployment, namespace: String::new(), name: String::new(), body: body.clone() };
        let live = DynamicObject { types: None, metadata: ObjectMeta::default(), data: live.clone() };
        planned.differences(&live).join(", ")
    };
    format!("not as before: {}; new: {}", lacking(before, now), lacking(now, before))
}

/// Changes an object and waits until it is as it was.
async fn changed_back(kind: Kind, name: &str, patch: Value) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api = api(&platform, kind);
    let before = meant(&api.get(name).await?);
    let changed = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    ensure!(meant(&changed) != before, "the change changes nothing");
    let started = Instant::now();
    until(&format!("{kind:?} {name} is as it was"), WATCHED, || async {
        let now = meant(&api.get(name).await?);
        ensure!(now == before, "{}", differences(&before, &now));
        Ok(())
    })
    .await;
    println!("{kind:?} {name}: as it was after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}

/// Deletes an object and waits until there is a new one like it.
async fn made_again(kind: Kind, name: &str) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    made_again_on(&platform, kind, name).await
}

async fn made_again_on(platform: &Platform, kind: Kind, name: &str) -> anyhow::Result<()> {
    let api = api(platform, kind);
    let before = api.get(name).await?;
    api.delete(name, &DeleteParams::background()).await?;
    let started = Instant::now();
    until(&format!("{kind:?} {name} is there again"), WATCHED, || async {
        let now = api.get_opt(name).await?.context("it is gone")?;
        ensure!(now.metadata.uid != before.metadata.uid, "it is still the old one");
        let ports_are_given = kind == Kind::Service;
        ensure!(ports_are_given || meant(&now) == meant(&before), "{}", differences(&meant(&before), &meant(&now)));
        Ok(())
    })
    .await;
    println!("{kind:?} {name}: made again after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}

/// As [`changed_back`], for a Deployment, whose containers are merged by name.
async fn strategic_change(name: &str, patch: Value) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api = api(&platform, Kind::Deployment);
    let before = meant(&api.get(name).await?);
    let changed = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    ensure!(meant(&changed) != before, "the change changes nothing");
    let started = Instant::now();
    until(&format!("Deployment {name} is as it was"), WATCHED, || async {
        let now = meant(&api.get(name).await?);
        ensure!(now == before, "{}", differences(&before, &now));
        Ok(())
    })
    .await;
    println!("Deployment {name}: as it was after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}

#[tokio::test]
async fn a_volume_that_would_go_with_its_set_is_kept_again() -> anyhow::Result<()> {
    let policy = json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete" } } });
    changed_back(Kind::StatefulSet, "postgres", policy).await
}
