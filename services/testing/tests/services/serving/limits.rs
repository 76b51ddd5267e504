//! Limits against noisy neighbours: who asks too much is slowed down, and nobody else.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_testing::{Answer, Platform, TestTenant};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_tenant_that_asks_too_often_is_slowed_down_and_no_other() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let (loud, calm) = tokio::try_join!(
        TestTenant::create(&platform, "loud", json!({ "limits": { "requestsPerSecond": 3 } })),
        TestTenant::create(&platform, "calm", json!({})),
    )?;
    let burst = async |tenant: &TestTenant| -> anyhow::Result<Vec<Answer>> {
        let request = tenant.request("crm", Method::GET, "/contacts").await?;
        let requests: Vec<_> = (0..30).map_while(|_| request.try_clone()).collect();
        try_join_all(requests.into_iter().map(Answer::of)).await
    };
    let (of_loud, of_calm) = tokio::try_join!(burst(&loud), burst(&calm))?;
    ensure!(of_calm.iter().all(|answer| answer.status == 200), "{of_calm:?}");
    let served = of_loud.iter().filter(|answer| answer.status == 200).count();
    ensure!((1..=12).contains(&served), "{served} of 30 requests at once were served");
    let refused = of_loud.iter().find(|answer| answer.status != 200).context("none was refused")?;
    ensure!((refused.status, refused.code()) == (429, "too-many-requests"), "{refused:?}");
    let wait: u64 = refused.headers.get("retry-after").context("no Retry-After")?.parse()?;
    tokio::time::sleep(Duration::from_secs(wait)).await;
    ensure!(loud.read("/contacts").await?.status == 200, "refused although it waited as told");
    Ok(())
}

#[tokio::test]
async fn a_changed_limit_counts_without_a_restart() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "raised", json!({ "limits": { "requestsPerSecond": 1 } })).await?;
    let request = tenant.request("crm", Method::GET, "/contacts").await?;
    let burst = async || -> anyhow::Result<usize> {
        let requests: Vec<_> = (0..20).map_while(|_| request.try_clone()).collect();
        let answers = try_join_all(requests.into_iter().map(Answer::of)).await?;
        Ok(answers.iter().filter(|answer| answer.status == 200).count())
    };
    ensure!(burst().await? < 20, "the limit of 1 did not count");
    tenant.change(json!({ "limits": { "requestsPerSecond": 1000 } })).await?;
    // The allowance fills up at the new rate.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let served = burst().await?;
    ensure!(served == 20, "{served} of 20 were served under the limit of 1000");
    Ok(())
}
