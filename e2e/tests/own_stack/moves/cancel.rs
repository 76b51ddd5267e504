//! A move that is given up before its cut-over.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;
use easycode_e2e::holdings::Holdings;
use sqlx::Connection;

use super::{
    Mover,
    work::{Seen, Work},
};

#[tokio::test]
async fn a_move_given_up_amid_the_copy_stops_nobody() -> anyhow::Result<()> {
    let mover = Mover::create("cancel").await?;
    let before = mover.shared.holdings().await?;
    let work = Work::begin(&mover).await?;
    let block = mover.block_copy().await?;
    mover.go().await?;
    mover.copy_waits().await;
    mover.come_back().await?;
    // The pod that copies can't end while it waits.
    block.close().await?;
    let seen = is_given_up(&mover, work, before).await?;
    ensure!(seen.put_off == 0, "{} writes were put off", seen.put_off);
    mover.remove().await
}

#[tokio::test]
async fn a_move_given_up_before_its_cut_over_loses_nothing() -> anyhow::Result<()> {
    let mover = Mover::create("cancellate").await?;
    let before = mover.shared.holdings().await?;
    let work = Work::begin(&mover).await?;
    let held = mover.go_as_far_as("CuttingOver").await?;
    mover.come_back().await?;
    let seen = is_given_up(&mover, work, before).await?;
    held.lift().await?;
    ensure!(seen.put_off > 0, "no write was put off: it was not frozen at all");
    mover.remove().await
}

/// Checks that the tenant is served on the platform with all it had and made, and that nothing is left elsewhere.
async fn is_given_up(mover: &Mover, work: Work, before: Holdings) -> anyhow::Result<Seen> {
    let home = mover.shared.platform.clone();
    mover.arrives(&home.home).await?;
    let made = mover.shared.add_contact("Back").await?;
    mover.reaches(MovePhase::Cancelled).await;
    let seen = work.end().await?;
    mover.has(&home, &seen).await?;
    ensure!(mover.shared.read(&format!("/contacts/{made}")).await?.status == 200, "what was written then is lost");
    ensure!(mover.shared.holdings().await? == before, "{:?} and not {before:?}", mover.shared.holdings().await?);
    let left = mover.own.tenant.holdings().await?;
    ensure!(left == Holdings::default(), "left in the instance: {left:?}");
    mover.left_no_tools().await?;
    Ok(seen)
}

#[tokio::test]
async fn a_tenant_deleted_amid_its_move_leaves_nothing_in_either_home() -> anyhow::Result<()> {
    let mover = Mover::create("deleted").await?;
    let block = mover.block_copy().await?;
    mover.go().await?;
    mover.copy_waits().await;
    mover.shared.delete().await?;
    block.close().await?;
    mover.shared.gone().await;
    for home in [&mover.shared, &mover.own.tenant] {
        let left = home.holdings().await?;
        ensure!(left == Holdings::default(), "left on {}: {left:?}", home.platform.home);
    }
    mover.left_no_tools().await?;
    mover.remove().await
}
