//! What a move needs is lost or changed on its way: the new home's Postgres amid the copy, either one in the pause, the services that
//! are to move, the new home itself; and what it no longer needs is lost after it.

use anyhow::{Context, ensure};
use easycode_crds::tenant::MovePhase;
use easycode_e2e::own_platform::small_postgres;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use serde_json::json;

use super::{Mover, spec, work::Work};

#[tokio::test]
async fn a_copy_that_broke_off_is_made_anew() -> anyhow::Result<()> {
    let mover = Mover::create("broken").await?;
    let work = Work::begin(&mover).await?;
    let block = mover.block_copy().await?;
    mover.go().await?;
    mover.copy_waits().await;
    let pods: Api<Pod> = Api::namespaced(mover.own.platform.cluster.client.clone(), &mover.own.namespace());
    pods.delete("postgres-0", &DeleteParams::default().grace_period(0)).await?;
    // The session that blocked it died with the server.
    drop(block);
    mover.arrives(&mover.own.platform.home).await?;
    let relocation = mover.reaches(MovePhase::Done).await;
    let seen = work.end().await?;
    mover.has(&mover.own.platform, &seen).await?;
    ensure!(seen.put_off > 0, "{relocation:?}");
    println!("nothing could be written for {} ms", relocation.write_downtime_ms.unwrap_or_default());
    mover.remove().await
}

#[tokio::test]
async fn the_new_homes_postgres_may_be_lost_in_the_pause() -> anyhow::Result<()> {
    let mover = Mover::create("newhome").await?;
    let work = Work::begin(&mover).await?;
    let pods: Api<Pod> = Api::namespaced(mover.own.platform.cluster.client.clone(), &mover.own.namespace());
    // All is copied, and what was written meanwhile is to be caught up with.
    let held = mover.go_as_far_as("CatchingUp").await?;
    pods.delete("postgres-0", &DeleteParams::default().grace_period(0)).await?;
    held.lift().await?;
    mover.arrives(&mover.own.platform.home).await?;
    mover.reaches(MovePhase::Done).await;
    let seen = work.end().await?;
    mover.has(&mover.own.platform, &seen).await?;
    mover.remove().await
}

#[tokio::test]
async fn a_service_that_is_bought_during_the_copy_moves_along() -> anyhow::Result<()> {
    let mut without = spec();
    without["entitlements"] = json!([]);
    let mover = Mover::create_as("bought", without.clone()).await?;
    let block = mover.held_before("Freezing").await?;
    mover.own.tenant.apply(without).await?;
    block.reached().await;
    mover.own.tenant.apply(spec()).await?;
    mover.shared.serves(200).await;
    let made = mover.shared.add_contact("Bought").await?;
    block.lift().await?;
    mover.arrives(&mover.own.platform.home).await?;
    let relocation = mover.reaches(MovePhase::Done).await;
    ensure!(relocation.services.iter().any(|service| service == "crm"), "{relocation:?}");
    ensure!(
        mover.own.tenant.read(&format!("/contacts/{made}")).await?.status == 200,
        "what was written meanwhile is lost"
    );
    mover.remove().await
}

#[tokio::test]
async fn a_tenant_is_reported_on_while_the_home_that_it_left_is_away() -> anyhow::Result<()> {
    const MISSING: &str = "localhost/easycode/postgres:missing";
    let mover = Mover::create("away").await?;
    mover.go().await?;
    mover.arrives(&mover.own.platform.home).await?;
    mover.reaches(MovePhase::Done).await;
    mover.shared.change(json!({ "retention": "1m" })).await?;
    let back = json!({ "model": "Shared", "instance": null, "platform": mover.shared.platform.name });
    mover.shared.change(json!({ "deployment": back })).await?;
    mover.arrives(&mover.shared.platform.home).await?;
    mover.reaches(MovePhase::Done).await;

    mover.own.apply(json!({ "database": { "embedded": small_postgres(MISSING) } })).await?;
    mover.own.says("DatabaseReady", "ImageUnavailable", MISSING).await;
    // Before the end of the retention, and while the copy is to be erased.
    mover.shared.change(json!({ "limits": { "users": 101 } })).await?;
    mover.shared.ready().await;
    let kept = mover.shared.get().await?.status.context("no status")?.former_homes;
    if let Some(former) = kept.first() {
        let left = former.retained_until.parse::<jiff::Timestamp>()?.duration_since(jiff::Timestamp::now());
        tokio::time::sleep(std::time::Duration::try_from(left).unwrap_or_default()).await;
    }
    mover.shared.change(json!({ "limits": { "users": 102 } })).await?;
    mover.shared.ready().await;

    mover.own.apply(json!({})).await?;
    mover.leaves_no_copy_in_the_instance().await;
    mover.remove().await
}

#[tokio::test]
async fn a_move_to_an_instance_that_is_deleted_meanwhile_is_given_up_before_it_goes() -> anyhow::Result<()> {
    let mover = Mover::create("target").await?;
    let made = mover.shared.add_contact("Before").await?;
    let held = mover.go_as_far_as("CuttingOver").await?;
    mover.own.delete().await?;
    held.lift().await?;
    mover.reaches(MovePhase::Failed).await;
    mover.own.gone().await;
    ensure!(mover.shared.read(&format!("/contacts/{made}")).await?.status == 200, "it is not served where it was");
    mover.shared.add_contact("After").await?;
    mover.shared.condition("Placed", "False", "InstanceNotFound").await;
    mover.come_back().await?;
    mover.arrives(&mover.shared.platform.home).await?;
    mover.left_no_tools().await?;
    let (shared, namespace) = (mover.shared.clone(), mover.own.namespace());
    shared.erase().await?;
    easycode_e2e::own_platform::remove_namespace(&shared.platform.cluster, &namespace).await
}
