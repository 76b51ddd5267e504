//! What an instance stands on fails: its pods, its volume, its namespace, its Postgres.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::{DedicatedInstanceStatus, conditions};
use easycode_e2e::{
    elsewhere::{Elsewhere, external},
    own_instance::OwnInstance,
    own_platform::{BRING_UP, remove_namespace, small_postgres},
    tenant::fresh_name,
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, Service},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use rand::{Rng, distr::Alphanumeric};
use reqwest::Method;
use serde_json::json;

use super::{api, cluster, first_contact, pods};

#[tokio::test]
async fn all_of_its_pods_at_once_are_replaced_and_serve_the_same_data() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "pods", json!({})).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let before = pods(&own).await?;
    let all: Api<Pod> = Api::namespaced(cluster.client.clone(), &own.namespace());
    // As a node that is lost: nobody has time to say goodbye.
    all.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    until("other pods serve the same data", BRING_UP, || async {
        let answer = own.tenant.read("/contacts").await?;
        ensure!(answer.status == 200 && answer.body["items"][0]["familyName"] == "Lovelace", "{answer:?}");
        Ok(())
    })
    .await;
    own.ready().await;
    let after = pods(&own).await?;
    ensure!(after.iter().all(|pod| before.iter().all(|old| old.uid() != pod.uid())), "an old pod is still there");
    own.remove().await
}

#[tokio::test]
async fn a_namespace_that_is_deleted_by_hand_is_made_again_and_the_loss_is_told() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "namespace", json!({})).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let name = own.namespace();
    let refusal = namespaces.delete(&name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await;
    let way_out = format!("easycode.io/confirm-delete={name}");
    ensure!(refusal.is_err_and(|error| error.to_string().contains(&way_out)), "it was not protected");

    let before = namespaces.get(&name).await?.uid();
    // The confirmation is what a person needs who wants it all the same.
    let confirmed = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": name } } });
    namespaces.patch(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(confirmed)).await?;
    namespaces.delete(&name, &DeleteParams::default()).await?;
    until("there is another namespace", BRING_UP, || async {
        let now = namespaces.get_opt(&name).await?.context("it is gone")?;
        ensure!(now.uid() != before, "it is still the old one");
        Ok(())
    })
    .await;
    own.platform.ready(BRING_UP).await;
    // The data went with the namespace: that is said, and nothing is begun anew unasked.
    let lost = own.tenant.condition("DatabaseReady", "False", "DataMissing").await;
    println!("the tenant says: {:?}", lost.status.map(|status| status.conditions));
    own.tenant.annotate("easycode.io/recreate-data", "crm,tenant-service").await?;
    own.ready().await;
    own.tenant.serves(200).await;
    own.remove().await
}

#[tokio::test]
async fn a_full_volume_elsewhere_refuses_writes_loses_nothing_and_mends_when_there_is_room() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let elsewhere = Elsewhere::start_small(&cluster).await?;
    let secret = fresh_name("secret");
    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    let own = OwnInstance::apply_new(&cluster, "full", external(&secret)).await?;
    fill_and_make_room(&own, "/data", async |command| elsewhere.run(&command).await).await?;
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn a_full_volume_of_its_own_refuses_writes_loses_nothing_and_mends_when_there_is_room() -> anyhow::Result<()> {
    /// Of the local cluster; no other has volumes that can be filled.
    const SMALL: &str = "small";
    let cluster = cluster().await?;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    if classes.get_opt(SMALL).await?.is_none() {
        println!("there is no StorageClass {SMALL}: only the volume elsewhere is filled");
        return Ok(());
    }
    let image = easycode_e2e::platform::postgres_image(&cluster).await?;
    let mut embedded = small_postgres(&image);
    embedded["storageClass"] = SMALL.into();
    let own = OwnInstance::apply_new(&cluster, "full", json!({ "database": { "embedded": embedded } })).await?;
    let namespace = own.namespace();
    let run = async |command: String| cluster.exec(&namespace, "postgres-0", &["sh", "-c", &command]).await;
    fill_and_make_room(&own, "/var/lib/postgresql/data", run).await?;
    own.remove().await?;
    remove_namespace(&cluster, &namespace).await
}

/// Time in which there are two surveys.
const SURVEYS: Duration = Duration::from_secs(65);

/// An instance's status, without what is found on another schedule.
async fn told_but_for_isolation(own: &OwnInstance) -> anyhow::Result<DedicatedInstanceStatus> {
    let mut told = own.status().await?;
    told.conditions.retain(|one| one.type_ != conditions::ISOLATION_VERIFIED);
    Ok(told)
}

/// Fills the folder of an instance's Postgres, in whose pod commands run, and empties it again.
async fn fill_and_make_room(
    own: &OwnInstance,
    folder: &str,
    run: impl AsyncFn(String) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let fill = |file: &str, size: &str| format!("dd if=/dev/zero of={folder}/{file} bs={size} 2>/dev/null || true");
    run(format!("{}; {}", fill("filler", "1M"), fill("rest", "1k"))).await?;
    // Text that does not compress, so that a page has room for a few only.
    let text = || rand::rng().sample_iter(&Alphanumeric).take(2_000).map(char::from).collect::<String>();
    let contact = |name: String| Some(json!({ "familyName": name, "custom": { "note": text() } }));
    let mut written = Vec::new();
    let refusal = until("a write is refused", Duration::from_mins(2), || {
        let name = format!("Contact {}", written.len());
        written.push(name.clone());
        let (tenant, body) = (own.tenant.clone(), contact(name));
        async move {
            let answer = tenant.ask("crm", Method::POST, "/contacts", body).await?;
            ensure!(answer.status != 201, "there is still room");
            Ok(answer)
        }
    })
    .await;
    ensure!(refusal.status == 503 && refusal.code() == "unavailable", "{refusal:?}");
    own.says("DatabaseReady", "VolumeFull", "expand the volume").await;
    own.condition("Ready", "False", "VolumeFull").await;
    own.tenant.condition("DatabaseReady", "False", "VolumeFull").await;
    own.tenant.serves(200).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let told = told_but_for_isolation(own).await?;
    tokio::time::sleep(SURVEYS).await;
    ensure!(told_but_for_isolation(own).await? == told, "what stays as it is was told again");

    run(format!("rm -f {folder}/filler {folder}/rest")).await?;
    until("there is room again", Duration::from_mins(2), || async {
        let answer = own.tenant.ask("crm", Method::POST, "/contacts", contact("Hopper".to_owned())).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(())
    })
    .await;
    let role = own.tenant.role();
    let count = run(format!("psql -h /tmp -U postgres -XAtqd crm -c \"SELECT count(*) FROM {role}.contact\"")).await?;
    let kept: usize = count.trim().parse()?;
    // All that was said to be written, which is all but the last attempt, and the two others.
    ensure!(kept == written.len() - 1 + 2, "{kept} contacts, {} were written", written.len() + 1);
    own.ready().await;
    Ok(())
}

#[tokio::test]
async fn a_database_elsewhere_that_is_not_reached_is_told_of_and_found_again() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let elsewhere = Elsewhere::start(&cluster).await?;
    let secret = fresh_name("secret");
    let own = OwnInstance::apply_new(&cluster, "ext", external(&secret)).await?;
    own.says("DatabaseReady", "SecretInvalid", "does not exist").await;
    ensure!(
        api(&own.platform, Kind::NetworkPolicy).get_opt("default-deny").await?.is_some(),
        "its namespace is open while it waits"
    );
    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    ensure!(
        api(&own.platform, Kind::StatefulSet).list(&ListParams::default()).await?.items.is_empty(),
        "it made a Postgres, too"
    );

    let services: Api<Service> = Api::namespaced(cluster.client.clone(), elsewhere.namespace());
    let mut service = services.get("postgres").await?;
    services.delete("postgres", &DeleteParams::default()).await?;
    elsewhere.run("psql -h /tmp -U postgres -XAtqc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> 'postgres'\"").await?;
    own.says("DatabaseReady", "DatabaseUnavailable", "").await;
    own.tenant.serves(503).await;
    // What is broken meanwhile is mended all the same.
    let deployments = api(&own.platform, Kind::Deployment);
    let before = deployments.get("crm").await?.uid();
    deployments.delete("crm", &DeleteParams::background()).await?;
    until("CRM's Deployment is made again", super::MENDED, || async {
        let now = deployments.get_opt("crm").await?.context("it is gone")?;
        ensure!(now.uid() != before, "it is still the old one");
        Ok(())
    })
    .await;

    service.metadata.resource_version = None;
    services.create(&PostParams::default(), &service).await?;
    own.ready().await;
    ensure!(first_contact(&own).await? == "Lovelace", "its data is gone");
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn a_wrong_image_of_postgres_is_told_of_and_another_one_mends() -> anyhow::Result<()> {
    const MISSING: &str = "localhost/easycode/postgres:missing";
    let cluster = cluster().await?;
    let image = easycode_e2e::platform::postgres_image(&cluster).await?;
    let with = |image: &str| json!({ "database": { "embedded": small_postgres(image) } });
    let own = OwnInstance::apply_new(&cluster, "postgres", with(MISSING)).await?;
    own.says("DatabaseReady", "ImageUnavailable", MISSING).await;
    own.condition("Ready", "False", "ImageUnavailable").await;
    own.apply(with(&image)).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;

    // One that serves already goes down by it, and comes back with its data.
    own.apply(with(MISSING)).await?;
    own.says("DatabaseReady", "ImageUnavailable", MISSING).await;
    own.apply(with(&image)).await?;
    own.ready().await;
    ensure!(first_contact(&own).await? == "Lovelace", "its data is gone");
    let namespace = own.namespace();
    own.remove().await?;
    remove_namespace(&cluster, &namespace).await
}
