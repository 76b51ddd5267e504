//! Killed again and again amid many tenants.

use std::time::Duration;

use anyhow::Context;
use easycode_e2e::{holdings, operator::Operator, platform::Platform, tenant::TestTenant};
use futures::future::{join_all, try_join_all};
use serde_json::json;

use super::right;

const TENANTS: usize = 40;
const KILLS: usize = 10;

#[tokio::test]
async fn forty_tenants_become_right_although_the_operator_is_killed_ten_times() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let operator = Operator::of(&platform.cluster);
    let applied = (0..TENANTS).map(|_| TestTenant::apply_new(&platform, "burst", json!({})));
    let killed = async {
        for _ in 0..KILLS {
            operator.another_leads(None, Duration::from_mins(1)).await;
            // It works for a moment before it dies.
            tokio::time::sleep(Duration::from_millis(300)).await;
            operator.kill().await?;
        }
        anyhow::Ok(())
    };
    let (tenants, killed) = tokio::join!(try_join_all(applied), killed);
    let tenants = tenants?;
    killed?;

    join_all(tenants.iter().map(TestTenant::ready)).await;
    let all = holdings::of_all(&platform).await?;
    let model = all.get(right::MODEL).context("the model is missing")?;
    for tenant in &tenants {
        let held = all.get(&tenant.role()).cloned().unwrap_or_default();
        right::described_as_planned(tenant, &["crm", "tenant-service", "user-service"], &held, model).await?;
        tenant.serves(200).await;
    }

    try_join_all(tenants.iter().map(TestTenant::erase)).await?;
    let left = holdings::of_all(&platform).await?;
    anyhow::ensure!(tenants.iter().all(|tenant| !left.contains_key(&tenant.role())), "something is left of them");
    operator.settled().await;
    Ok(())
}
