//! Objects of a platform or an instance that someone breaks, and that are made again or changed back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use easycode_operator::kubernetes::object::{Kind, Planned};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{platform::Platform, wait::until};

/// Longest time until what someone broke is mended: objects are watched.
pub const MENDED: Duration = Duration::from_secs(30);
/// Longest time until a changed object is as planned again.
pub const WATCHED: Duration = Duration::from_secs(15);

/// The API of a kind where the platform or the instance is.
#[must_use]
pub fn api(platform: &Platform, kind: Kind) -> Api<DynamicObject> {
    let (client, resource) = (platform.cluster.client.clone(), kind.resource());
    if kind == Kind::Namespace {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &platform.namespace(), &resource)
    }
}

/// Waits until an object is there, and returns all of it.
pub async fn appears(platform: &Platform, kind: Kind, name: &str) -> Value {
    let asked = || async { Ok(api(platform, kind).get(name).await?) };
    let object = until(&format!("{kind:?} {name} is there"), MENDED, asked).await;
    let mut data = object.data;
    data["metadata"] = json!(object.metadata);
    data
}

/// Waits until an object is gone.
pub async fn goes(platform: &Platform, kind: Kind, name: &str) {
    until(&format!("{kind:?} {name} is gone"), MENDED, || async {
        ensure!(api(platform, kind).get_opt(name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await;
}

/// What of an object says how it is meant: all but what the API server and controllers add.
#[must_use]
pub fn meant(object: &DynamicObject) -> Value {
    let mut body = object.data.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    json!({ "labels": object.metadata.labels, "body": body })
}

/// The paths at which an object is not as it was, and what is new in it.
#[must_use]
pub fn differences(before: &Value, now: &Value) -> String {
    let lacking = |body: &Value, live: &Value| {
        let planned =
            Planned { kind: Kind::Deployment, namespace: String::new(), name: String::new(), body: body.clone() };
        let live = DynamicObject { types: None, metadata: ObjectMeta::default(), data: live.clone() };
        planned.differences(&live).join(", ")
    };
    format!("not as before: {}; new: {}", lacking(before, now), lacking(now, before))
}

/// Changes an object and waits until it is as it was.
pub async fn changed_back(kind: Kind, name: &str, patch: Value) -> anyhow::Result<()> {
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
