//! The end of an instance: protected, not while its tenant is there, and never of its data.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::own_instance::OwnInstance;
use easycode_operator::kubernetes::object::Kind;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::{api, appears, cluster, first_contact};

#[tokio::test]
async fn an_instance_stays_while_its_tenant_does_leaves_all_data_and_takes_it_over_when_made_again()
-> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "end", json!({})).await?;
    own.ready().await;
    own.tenant.change(json!({ "deletionPolicy": "Retain" })).await?;
    own.tenant.add_contact("Lovelace").await?;
    let trial = DeleteParams { dry_run: true, ..DeleteParams::default() };
    let way_out = format!("easycode.io/confirm-delete={}", own.platform.name);
    let refusal = own.api().delete(&own.platform.name, &trial).await;
    ensure!(refusal.is_err_and(|error| error.to_string().contains(&way_out)), "it was not protected");
    let claim = api(&own.platform, Kind::PersistentVolumeClaim).delete("data-postgres-0", &trial).await;
    ensure!(claim.is_err_and(|error| error.to_string().contains("protected")), "its volume was not protected");

    own.delete().await?;
    let told = own.platform.condition("Ready", "False", "InUse", Duration::from_secs(30)).await;
    ensure!(told.contains(&own.tenant.name), "{told}");
    own.tenant.serves(200).await;
    let uid = own.tenant.get().await?.metadata.uid.context("no uid")?;
    own.tenant.delete().await?;
    own.tenant.gone().await;
    own.gone().await;

    let kept = appears(&own.platform, Kind::Namespace, &own.namespace()).await;
    ensure!(kept["metadata"]["deletionTimestamp"].is_null(), "the namespace goes, too");
    for (kind, name) in [
        (Kind::StatefulSet, "postgres"),
        (Kind::PersistentVolumeClaim, "data-postgres-0"),
        (Kind::Secret, "postgres-operator"),
        (Kind::Secret, "database-svc-crm"),
        (Kind::NetworkPolicy, "default-deny"),
    ] {
        api(&own.platform, kind).get(name).await.with_context(|| format!("{kind:?} {name}"))?;
    }
    let serving = api(&own.platform, Kind::Deployment).list(&ListParams::default()).await?;
    ensure!(serving.items.is_empty(), "{} services still run", serving.items.len());

    own.apply(json!({})).await?;
    own.tenant.apply(json!({})).await?;
    own.tenant.condition("DatabaseReady", "False", "RetainedData").await;
    own.tenant.annotate("easycode.io/undelete", &uid).await?;
    own.ready().await;
    ensure!(first_contact(&own).await? == "Lovelace", "its data was not taken over");
    own.remove().await
}
