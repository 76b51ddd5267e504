//! The release of an instance: when it may change, what becomes of a bad one, and of what an older operator rendered.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_crds::ReleaseChannel;
use easycode_e2e::{own_instance::OwnInstance, releases, tenant::fresh_name, wait::until};
use easycode_operator::kubernetes::object::{Kind, short_hash};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{MENDED, api, cluster, deployment, release_like};

const ASKED: &str = "easycode.io/apply-pending";
/// Sooner than the operator looks at everything anew by itself.
const SOON: Duration = Duration::from_secs(20);

/// Windows of which the next one opens in months.
fn closed() -> Value {
    let month = (Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).month() + 5) % 12 + 1;
    json!({ "windows": [{ "schedule": format!("0 2 1 {month} *"), "duration": "1h" }] })
}

/// A window that is always open.
fn open() -> Value {
    json!({ "windows": [{ "schedule": "* * * * *", "duration": "15m" }] })
}

/// Waits until all workloads run the release.
async fn runs(own: &OwnInstance, release: &str) {
    until(&format!("{} runs {release}", own.platform.home), Duration::from_mins(2), || async {
        let running = own.status().await?.release;
        ensure!(running.as_deref() == Some(release), "it runs {running:?}");
        Ok(())
    })
    .await;
    own.ready().await;
}

/// Checks for some seconds that all workloads run the release.
async fn stays_on(own: &OwnInstance, release: &str, version: &str) -> anyhow::Result<()> {
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(own.status().await?.release.as_deref() == Some(release), "it runs {:?}", own.status().await?.release);
        let label = deployment(own, "crm").await?.labels().get("app.kubernetes.io/version").cloned();
        ensure!(label.as_deref() == Some(version), "CRM is of version {label:?}");
    }
    Ok(())
}

#[tokio::test]
async fn another_release_waits_for_a_window_unless_it_is_asked_for_each_time() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "window", json!({ "maintenance": closed() })).await?;
    // The first one waits for nothing.
    own.ready().await;
    let first = own.status().await?.release.context("no release")?;
    let version = own.status().await?.version.context("no version")?;
    let second = release_like(&cluster, |_| ()).await?;
    let third = release_like(&cluster, |_| ()).await?;

    own.change(json!({ "release": { "version": second.spec.version } })).await?;
    let told = own.condition("UpdatePending", "True", "AwaitingWindow").await;
    ensure!(told.contains(&second.spec.version) && told.contains(ASKED) && told.contains("opens at 20"), "{told}");
    // It is in use as before, and other changes don't wait.
    own.ready().await;
    let more = json!([{ "name": "crm", "env": [{ "name": "APPROVAL_LEVELS", "value": "2" }] }]);
    own.change(json!({ "services": more })).await?;
    until("other changes don't wait", MENDED, || async {
        let spec = json!(deployment(&own, "crm").await?.spec);
        ensure!(spec.to_string().contains("APPROVAL_LEVELS"), "not yet");
        Ok(())
    })
    .await;
    own.ready().await;
    stays_on(&own, &first, &version).await?;

    own.annotate(ASKED, json!("TICKET-1")).await?;
    runs(&own, &second.name_any()).await;
    own.condition("UpdatePending", "False", "AsPlanned").await;
    ensure!(own.status().await?.version.as_ref() == Some(&second.spec.version), "another version");

    // The request was for that one; the next waits again, although the annotation is still there.
    own.change(json!({ "release": { "version": third.spec.version } })).await?;
    own.condition("UpdatePending", "True", "AwaitingWindow").await;
    stays_on(&own, &second.name_any(), &second.spec.version).await?;
    own.change(json!({ "maintenance": open() })).await?;
    runs(&own, &third.name_any()).await;
    own.remove().await?;
    releases::remove(&cluster, &second.name_any()).await?;
    releases::remove(&cluster, &third.name_any()).await
}

#[tokio::test]
async fn a_release_that_is_missing_is_told_of_while_the_other_is_kept_up() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let missing = "0.0.0-missing";
    let own = OwnInstance::apply_new(&cluster, "missing", json!({ "release": { "version": missing } })).await?;
    let told = own.condition("Ready", "False", "ReleaseNotFound").await;
    ensure!(told.contains(missing) && told.contains("create it"), "{told}");

    own.apply(json!({})).await?;
    own.ready().await;
    own.apply(json!({ "release": { "version": missing } })).await?;
    own.condition("Ready", "False", "ReleaseNotFound").await;
    let deployments = api(&own.platform, Kind::Deployment);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    deployments.patch("crm", &PatchParams::default(), &none).await?;
    until("what runs is kept up", MENDED, || async {
        let replicas = deployments.get("crm").await?.data["spec"]["replicas"].clone();
        ensure!(replicas == 1, "{replicas} replicas");
        Ok(())
    })
    .await;
    own.tenant.serves(200).await;
    own.apply(json!({})).await?;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn a_bad_release_is_told_of_and_nothing_of_it_is_left_when_it_is_taken_back() -> anyhow::Result<()> {
    const MISSING: &str = "localhost/easycode/crm:missing";
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "bad", json!({})).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let bad = release_like(&cluster, |release| {
        let crm = release.spec.services.iter_mut().find(|one| one.name == "crm").expect("the example has crm");
        MISSING.clone_into(&mut crm.image);
        crm.schema_version += 1;
    })
    .await?;
    own.apply(json!({ "release": { "version": bad.spec.version } })).await?;
    own.says("Migrated", "ImageUnavailable", MISSING).await;
    own.tenant.serves(200).await;
    own.apply(json!({})).await?;
    own.ready().await;
    until("no migration of it is left", MENDED, || async {
        let jobs = api(&own.platform, Kind::Job).list(&ListParams::default()).await?;
        let left: Vec<_> =
            jobs.iter().filter(|job| job.data.to_string().contains(MISSING)).map(ResourceExt::name_any).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await;
    own.tenant.serves(200).await;
    own.remove().await?;
    releases::remove(&cluster, &bad.name_any()).await
}

#[tokio::test]
async fn an_instance_follows_its_channel_when_a_window_opens() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let channels: Api<ReleaseChannel> = Api::all(cluster.client.clone());
    let name = fresh_name("channel");
    let offer = async |version: &str| {
        let channel = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "ReleaseChannel",
            "metadata": { "name": name, "labels": { "easycode.io/e2e": "true" } }, "spec": { "version": version },
        });
        channels.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(channel)).await
    };
    let says = async |status: &str, reason: &str, release: Option<&str>, instances: i32| {
        until(&format!("channel {name} is {status} {reason}"), MENDED, || async {
            let found = channels.get(&name).await?.status.context("no status yet")?;
            let ready = found.conditions.first().context("no condition yet")?;
            ensure!((ready.status.as_str(), ready.reason.as_str()) == (status, reason), "{ready:?}");
            ensure!((found.release.as_deref(), found.instances) == (release, instances), "{found:?}");
            Ok(())
        })
        .await;
    };
    let spec = json!({ "release": { "channel": name }, "maintenance": closed() });
    let own = OwnInstance::apply_new(&cluster, "follows", spec).await?;
    let told = own.condition("Ready", "False", "ReleaseNotFound").await;
    ensure!(told.contains(&name) && told.contains("spec.release.channel"), "{told}");

    let first = release_like(&cluster, |_| ()).await?;
    offer(&first.spec.version).await?;
    own.ready().await;
    runs(&own, &first.name_any()).await;
    says("True", "AsPlanned", Some(&first.name_any()), 1).await;

    // What nobody has made yet can be offered: it is told of, and what runs is kept. No look from time to time would be so soon.
    let version = format!("0.0.1-{}", fresh_name("offer"));
    let asked = Instant::now();
    offer(&version).await?;
    says("False", "ReleaseNotFound", None, 1).await;
    let told = own.condition("Ready", "False", "ReleaseNotFound").await;
    ensure!(told.contains(&version) && told.contains(&name), "{told}");
    let second = release_like(&cluster, |release| release.spec.version.clone_from(&version)).await?;
    let told = own.condition("UpdatePending", "True", "AwaitingWindow").await;
    ensure!(told.contains(&version), "{told}");
    ensure!(asked.elapsed() < SOON, "it took {:?} until both was told", asked.elapsed());
    stays_on(&own, &first.name_any(), &first.spec.version).await?;
    own.tenant.serves(200).await;
    own.change(json!({ "maintenance": open() })).await?;
    runs(&own, &second.name_any()).await;
    says("True", "AsPlanned", Some(&second.name_any()), 1).await;

    let refused = channels.delete(&name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await;
    let refused = refused.err().context("a channel that is followed could be deleted")?.to_string();
    ensure!(refused.contains(&format!("easycode.io/confirm-delete={name}")), "{refused}");
    releases::remove_confirmed(&channels, &name).await?;
    let told = own.condition("Ready", "False", "ReleaseNotFound").await;
    ensure!(told.contains("spec.release.channel"), "{told}");
    stays_on(&own, &second.name_any(), &version).await?;
    own.change(json!({ "release": { "channel": null, "version": version } })).await?;
    own.ready().await;
    own.remove().await?;
    releases::remove(&cluster, &first.name_any()).await?;
    releases::remove(&cluster, &second.name_any()).await
}

/// A deadline that no version of the operator renders.
const OLDER: i64 = 299;

/// Makes CRM's Deployment look as if an older version had rendered it from the same inputs.
async fn make_older(deployments: &Api<DynamicObject>) -> anyhow::Result<()> {
    let live = deployments.get("crm").await?;
    let annotation = |name: &str| live.annotations().get(name).with_context(|| format!("no annotation {name}"));
    let mut rendering: Value = serde_json::from_str(annotation("easycode.io/rendered")?)?;
    rendering["spec"]["progressDeadlineSeconds"] = OLDER.into();
    let (inputs, _) = annotation("easycode.io/inputs")?.split_once('.').context("a mark without a dot")?;
    let mark = format!("{inputs}.{}", short_hash(&rendering));
    let patch = json!({
        "metadata": { "annotations": { "easycode.io/inputs": mark, "easycode.io/rendered": rendering.to_string() } },
        "spec": { "progressDeadlineSeconds": OLDER },
    });
    deployments.patch("crm", &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

#[tokio::test]
async fn what_an_older_operator_rendered_runs_on_until_a_window_opens() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "older", json!({ "maintenance": closed() })).await?;
    own.ready().await;
    let deployments = api(&own.platform, Kind::Deployment);
    let running: Deployment = deployment(&own, "crm").await?;
    make_older(&deployments).await?;
    let told = own.condition("UpdatePending", "True", "OperatorChanged").await;
    ensure!(told.contains("Deployment crm"), "{told}");
    own.ready().await;
    // It would have been changed back by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kept = deployments.get("crm").await?.data["spec"]["progressDeadlineSeconds"].clone();
    ensure!(kept == OLDER, "it was not kept: {kept}");

    own.change(json!({ "maintenance": open() })).await?;
    own.condition("UpdatePending", "False", "AsPlanned").await;
    until("the present rendering is applied", MENDED, || async {
        let now = deployment(&own, "crm").await?;
        ensure!(now.spec == running.spec, "it is {:?}", now.spec);
        Ok(())
    })
    .await;
    own.ready().await;
    own.remove().await
}
