//! The whole way, with people at work.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_crds::tenant::MovePhase;
use easycode_e2e::tenant::TestTenant;
use serde_json::json;

use super::{Mover, work::Work};

/// Checks what is kept in a home that was left: all data, for this tenant, and nobody who may act as it.
async fn is_kept(left: &TestTenant) -> anyhow::Result<()> {
    let holdings = left.holdings().await?;
    let uid = left.get().await?.metadata.uid.context("a tenant without uid")?;
    ensure!(holdings.registered == [(uid, true)], "{holdings:?}");
    ensure!(holdings.schemas.contains_key("crm"), "{holdings:?}");
    ensure!(holdings.members.iter().all(|member| member.starts_with("mig_")), "{holdings:?}");
    ensure!(left.config_map().await?.is_none(), "its context is still published there");
    Ok(())
}

#[tokio::test]
async fn a_tenant_moves_forth_and_back_while_its_people_work() -> anyhow::Result<()> {
    let mover = Mover::create("mover").await?;
    let statement = format!(
        "INSERT INTO {}.contact (id, family_name) SELECT gen_random_uuid(), 'Row ' || n FROM generate_series(1, 5000) n",
        mover.shared.role()
    );
    mover.shared.platform.sql("crm", &statement).await?;
    let (shared, own) = (mover.shared.platform.clone(), mover.own.platform.clone());

    let work = Work::begin(&mover).await?;
    mover.go().await?;
    mover.arrives(&own.home).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = work.end().await?;
    mover.has(&own, &seen).await?;
    ensure!(seen.put_off > 0, "no write was put off: nobody wrote while it moved");
    let relocation = mover.reaches(MovePhase::Done).await;
    ensure!(relocation.rows.is_some_and(|rows| rows > 5000), "{relocation:?}");
    let told = Duration::from_millis(u64::try_from(relocation.write_downtime_ms.context("no downtime")?)?);
    let found = seen.longest_gap();
    println!("nothing could be written for {told:?} as told, {found:?} as found");
    // Services hear of it within a second.
    ensure!(found < told + Duration::from_secs(2) && told < found + Duration::from_secs(1), "{told:?}, {found:?}");
    is_kept(&mover.shared).await?;
    mover.left_no_tools().await?;
    let kept = mover.shared.get().await?.status.context("no status")?.former_homes;
    ensure!(kept.len() == 1 && kept[0].name == shared.name, "{kept:?}");

    // Back, with the copy that it leaves kept for a moment only.
    let work = Work::begin(&mover).await?;
    mover.shared.change(json!({ "retention": "5s" })).await?;
    mover
        .shared
        .change(json!({ "deployment": { "model": "Shared", "instance": null, "platform": shared.name } }))
        .await?;
    mover.arrives(&shared.home).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let later = work.end().await?;
    mover.has(&shared, &seen).await?;
    mover.has(&shared, &later).await?;
    mover.leaves_no_copy_in_the_instance().await;
    mover.left_no_tools().await?;
    mover.remove().await
}
