//! The new home's Postgres killed amid the copy.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};

use crate::{Mover, work::Work};

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
