//! How long a home takes to be ready where no node has to pull, schedule or start anything.

use std::time::{Duration, Instant};

use anyhow::ensure;
use easycode_e2e::{own_instance::OwnInstance, own_platform::OwnPlatform, platform::Platform};
use serde_json::json;

/// Longest time for a home that needs nothing from a node.
const READY_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_platform_and_an_instance_on_an_external_postgres_are_soon_ready() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let begun = Instant::now();
    let platform = OwnPlatform::apply_new(&cluster, "soon", json!({})).await?;
    platform.ready().await;
    println!("the platform is ready after {:?}", begun.elapsed());
    ensure!(begun.elapsed() < READY_WITHIN, "the platform took {:?}", begun.elapsed());
    let begun = Instant::now();
    let instance = OwnInstance::apply_new(&cluster, "soon", json!({})).await?;
    instance.ready().await;
    println!("the instance is ready after {:?}", begun.elapsed());
    ensure!(begun.elapsed() < READY_WITHIN, "the instance took {:?}", begun.elapsed());
    let answer = instance.tenant.serves(200).await;
    ensure!(answer.body["items"] == json!([]), "{answer:?}");
    instance.remove().await?;
    platform.remove().await
}
