//! A move that is given up before its cut-over.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;
use easycode_e2e::holdings::Holdings;
use sqlx::Connection;

use crate::{Mover, work::Work};

#[tokio::test]
async fn a_move_given_up_amid_the_copy_loses_nothing() -> anyhow::Result<()> {
    let mover = Mover::create("cancel").await?;
    let home = mover.shared.platform.clone();
    let before = mover.shared.holdings().await?;
    let work = Work::begin(&mover).await?;
    let block = mover.block_copy().await?;
    mover.go().await?;
    mover.copy_waits().await;
    mover.come_back().await?;
    mover.arrives(&home.home).await?;
    // It could be written to before the last trace was removed.
    let made = mover.shared.add_contact("Back").await?;
    block.close().await?;
    mover.reaches(MovePhase::Cancelled).await;
    let seen = work.end().await?;
    mover.has(&home, &seen).await?;
    ensure!(seen.put_off > 0, "no write was put off: it was not frozen at all");
    ensure!(mover.shared.read(&format!("/contacts/{made}")).await?.status == 200, "what was written then is lost");
    ensure!(mover.shared.holdings().await? == before, "{:?} and not {before:?}", mover.shared.holdings().await?);
    let left = mover.own.tenant.holdings().await?;
    ensure!(left == Holdings::default(), "left in the instance: {left:?}");
    mover.left_no_tools().await?;
    mover.remove().await
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
