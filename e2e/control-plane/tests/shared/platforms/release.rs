//! The release that a platform runs: missing, bad, and good again.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::Release;
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    platform::{Platform, core_release},
    releases,
    tenant::{TestTenant, fresh_name},
    wait::until,
};
use kube::Api;
use serde_json::json;

use super::{crm_is_mended, crm_of, says};

/// A release made from that of the tests' own platforms.
async fn release_like(cluster: &Cluster, name: &str, change: impl Fn(&mut Release)) -> anyhow::Result<Release> {
    releases::like(cluster, &core_release(cluster).await?, name, change).await
}

#[tokio::test]
async fn a_platform_whose_release_is_missing_says_so_and_comes_up_when_it_appears() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let name = fresh_name("release");
    let of_no_service = json!([{ "name": "warehouse", "replicas": 2 }]);
    let own =
        OwnPlatform::apply_new(&cluster, "release", json!({ "release": name, "services": of_no_service })).await?;
    let told = own.condition("Ready", "False", "ReleaseNotFound").await;
    ensure!(told.contains(&name), "{told}");
    release_like(&cluster, &name, |_| ()).await?;
    own.ready().await;
    let told = own.condition("ServicesAvailable", "True", "AsPlanned").await;
    ensure!(told.contains("warehouse is no service of release"), "{told}");
    used_by(&cluster, &name, 1).await;
    own.remove().await?;
    used_by(&cluster, &name, 0).await;
    releases::remove(&cluster, &name).await
}

/// Waits until the release says that so many platforms use it.
async fn used_by(cluster: &Cluster, name: &str, platforms: i32) {
    let releases: Api<Release> = Api::all(cluster.client.clone());
    until(&format!("Release {name} is used by {platforms}"), Duration::from_secs(45), || async {
        let said = releases.get(name).await?.status.context("no status yet")?.platforms;
        ensure!(said == platforms, "it says {said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bad_release_is_told_of_while_the_good_one_serves_on_and_taking_it_back_mends() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "release", json!({})).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "release", json!({})).await?;
    tenant.serves(200).await;
    let ran = crm_of(&own.platform).await?;
    let change = |release: &mut Release, suffix: &str, image: &str, schema: i32| {
        release.spec.version.push_str(suffix);
        let crm = release.spec.services.iter_mut().find(|one| one.name == "crm").expect("the example has crm");
        if !image.is_empty() {
            image.clone_into(&mut crm.image);
        }
        crm.schema_version = schema;
    };
    // In turn: migrations that never start, once in a release of the same version, an image that lacks the migrations it
    // promises, and one that never starts.
    let missing = "localhost/easycode/crm:missing";
    for (suffix, image, schema, type_, reason, hint) in [
        ("", missing, 2, "Migrated", "ImageUnavailable", missing),
        ("-next", missing, 2, "Migrated", "ImageUnavailable", missing),
        ("-next", "", 2, "Migrated", "MigrationFailed", "publishes version 1"),
        ("-next", missing, 1, "ServicesAvailable", "ImageUnavailable", "of pod crm-"),
    ] {
        let name = fresh_name("release");
        release_like(&cluster, &name, |release| change(release, suffix, image, schema)).await?;
        own.apply(json!({ "release": name })).await?;
        says(&own, type_, reason, hint).await;
        own.condition("Ready", "False", reason).await;
        let running = own.api().get(&own.platform.name).await?.status.context("no status")?.release;
        ensure!(running.is_some_and(|running| running != name), "it is said to run");
        tenant.serves(200).await;
        if type_ == "Migrated" {
            // What serves meanwhile is not left alone.
            crm_is_mended(&own.platform, &ran).await?;
            says(&own, type_, reason, hint).await;
            tenant.serves(200).await;
        }
        tenant.ready().await;
        own.apply(json!({})).await?;
        own.ready().await;
        releases::remove(&cluster, &name).await?;
    }
    tenant.serves(200).await;
    tenant.erase().await?;
    own.remove().await
}
