//! The operator killed at each phase: its work is done, and what follows is not written yet.

use easycode_crds::tenant::MovePhase;
use easycode_e2e::{
    block::{Block, Write},
    operator::Operator,
};
use easycode_operator::stack::home::Home;

use crate::{Mover, work::Work};

/// Kills the operator when it is about to write that a phase has begun, and lets its successor write it.
async fn kill_before(mover: &Mover, phase: &str, ask: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let cluster = &mover.shared.platform.cluster;
    let operator = Operator::of(cluster);
    operator.aim().await?;
    let block = Block::write(cluster, &Write::to_phase_of(&mover.shared.name, phase)).await?;
    ask().await?;
    block.reached().await;
    println!("about to write {phase}");
    operator.kill().await?;
    block.lift().await
}

/// Moves the tenant to the home, with a kill, while people work.
async fn move_with_kill(mover: &Mover, phase: &str, to: &Home) -> anyhow::Result<()> {
    let work = Work::begin(mover).await?;
    let instance = mover.own.platform.home == *to;
    kill_before(mover, phase, async || if instance { mover.go().await } else { mover.come_back().await }).await?;
    mover.arrives(to).await?;
    mover.reaches(MovePhase::Done).await;
    let seen = work.end().await?;
    let home = if instance { &mover.own.platform } else { &mover.shared.platform };
    mover.has(home, &seen).await?;
    mover.left_no_tools().await?;
    Operator::of(&mover.shared.platform.cluster).settled().await;
    Ok(())
}

#[tokio::test]
async fn whichever_phase_the_operator_is_killed_in_the_move_goes_on() -> anyhow::Result<()> {
    let mover = Mover::create("crash").await?;
    let (shared, own) = (mover.shared.platform.home.clone(), mover.own.platform.home.clone());
    move_with_kill(&mover, "Preparing", &own).await?;
    move_with_kill(&mover, "Copying", &shared).await?;
    move_with_kill(&mover, "Freezing", &own).await?;
    move_with_kill(&mover, "CatchingUp", &shared).await?;
    move_with_kill(&mover, "Verifying", &own).await?;
    move_with_kill(&mover, "CuttingOver", &shared).await?;
    move_with_kill(&mover, "Done", &own).await?;
    mover.remove().await
}

#[tokio::test]
async fn whichever_phase_the_operator_is_killed_in_the_move_is_given_up() -> anyhow::Result<()> {
    let mover = Mover::create("crashback").await?;
    let home = mover.shared.platform.clone();
    for phase in ["Cancelling", "Clearing", "Cancelled"] {
        let work = Work::begin(&mover).await?;
        let held = mover.go_as_far_as_the_cut_over().await?;
        kill_before(&mover, phase, async || mover.come_back().await).await?;
        held.lift().await?;
        mover.reaches(MovePhase::Cancelled).await;
        mover.arrives(&home.home).await?;
        let seen = work.end().await?;
        mover.has(&home, &seen).await?;
        mover.left_no_tools().await?;
        Operator::of(&home.cluster).settled().await;
    }
    mover.remove().await
}
