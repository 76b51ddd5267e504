//! What an intruder leaves behind who once ran SQL as a tenant: it stays that tenant's own trouble.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::{
    isolation::{run, two_tenants},
    tenant::TestTenant,
    wait::until,
};
use serde_json::json;

#[tokio::test]
async fn a_tenant_whose_tables_are_locked_delays_no_other() -> anyhow::Result<()> {
    let (a, b) = two_tenants("locked").await?;
    let mut session = a.platform.session_of("crm").await?;
    run(&mut session, &format!("BEGIN; SET LOCAL ROLE {}; LOCK TABLE {}.contact", a.role(), a.role())).await?;
    a.change(json!({ "deletionPolicy": "Delete" })).await?;
    a.delete().await?;
    until("access to the locked tenant is closed", Duration::from_secs(20), || async {
        let answer = a.read("/contacts").await?;
        ensure!(answer.status == 403, "{answer:?}");
        Ok(())
    })
    .await;

    let started = Instant::now();
    let fresh = TestTenant::create(&a.platform, "unlocked", json!({})).await?;
    println!("another was ready after {:?}", started.elapsed());
    ensure!(started.elapsed() < Duration::from_secs(20), "another waited for {:?}", started.elapsed());
    let kept = a.api().get_opt(&a.name).await?.context("gone although its tables were locked")?;
    ensure!(kept.metadata.deletion_timestamp.is_some(), "not being deleted");
    run(&mut session, "ROLLBACK").await?;
    a.gone().await;
    tokio::try_join!(b.erase(), fresh.erase())?;
    Ok(())
}
