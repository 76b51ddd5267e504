//! Suspension: access stops within a second, everywhere, and comes back with the same data.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use easycode_contract::{context::TenantContext, runtime::TENANT_SERVICE};
use easycode_e2e::{
    platform::Platform,
    tenant::TestTenant,
    traffic::{EFFECTIVE, Traffic},
    wait::until,
};
use easycode_kit::{TenantTransaction, database::Connections, limits::Limits};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn access_stops_within_a_second_and_comes_back_with_the_same_rows() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let spec = json!({ "limits": { "requestsPerSecond": 10_000 } });
    let tenant = TestTenant::create(&platform, "suspended", spec).await?;
    tenant.add_contact("Kept").await?;
    let traffic = [("crm", "/contacts"), (TENANT_SERVICE, "/settings")];
    let mut running = Vec::new();
    for (service, path) in traffic {
        running.push((service, Traffic::start(tenant.request(service, Method::GET, path).await?)));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    tenant.change(json!({ "state": "Suspended" })).await?;
    let changed = Instant::now();
    for (service, running) in running {
        let seen = running.end_after(changed).await?;
        let early = seen.iter().find(|one| one.asked < begun && one.status != 200);
        ensure!(early.is_none(), "{service} before it was suspended: {early:?}");
        // In the first moments the database may be the one that refuses.
        let other = seen
            .iter()
            .find(|one| one.status != 200 && !["tenant-suspended", "not-entitled"].contains(&one.code.as_str()));
        ensure!(other.is_none(), "{service}: {other:?}");
        let late: Vec<_> = seen.iter().filter(|one| one.asked > changed + EFFECTIVE).collect();
        let served = late.iter().find(|one| one.code != "tenant-suspended");
        ensure!(!late.is_empty() && served.is_none(), "{service} a second after it was suspended: {served:?}");
    }

    tenant.condition("Ready", "False", "Suspended").await;
    let rows = format!("SELECT family_name FROM {}.contact", tenant.role());
    ensure!(platform.sql("crm", &rows).await? == "Kept", "the rows are gone");
    for service in ["crm", TENANT_SERVICE] {
        let database = service.replace('-', "_");
        let members = format!(
            "SELECT count(*) FROM pg_auth_members WHERE roleid = '{}'::regrole AND member = 'svc_{database}'::regrole",
            tenant.role()
        );
        ensure!(platform.sql(&database, &members).await? == "0", "svc_{database} may still act as the tenant");
    }

    tenant.change(json!({ "state": "Active" })).await?;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Kept", "{answer:?}");
    tenant.ready().await;
    tenant.erase().await
}

#[tokio::test]
async fn a_pooled_connection_can_not_go_on_as_the_tenant() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "pooled", json!({})).await?;
    let answer = tenant.ask(TENANT_SERVICE, Method::GET, "/context", None).await?;
    // A service that never heard of the suspension, as it were: it still holds the old context.
    let context: TenantContext = serde_json::from_value(answer.body)?;
    let (pool, limits) = (Connections::new(&platform.login_of("crm").await?, 1), Arc::new(Limits::default()));
    let begin = async || TenantTransaction::begin(&pool, &context, &limits).await;
    begin()
        .await
        .map_err(|problem| anyhow!("{problem:?}"))?
        .commit()
        .await
        .map_err(|problem| anyhow!("{problem:?}"))?;

    tenant.change(json!({ "state": "Suspended" })).await?;
    tenant.condition("Ready", "False", "Suspended").await;
    let problem = begin().await.err().ok_or_else(|| anyhow!("it can still act as the tenant"))?;
    ensure!((problem.status, problem.code) == (403, "not-entitled"), "{problem:?}");

    tenant.change(json!({ "state": "Active" })).await?;
    until("the same connection acts as the tenant again", Duration::from_secs(20), || async {
        begin().await.map_err(|problem| anyhow!("{problem:?}"))?;
        Ok(())
    })
    .await;
    tenant.erase().await
}

#[tokio::test]
async fn one_tenants_suspension_is_not_felt_by_another() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let spec = json!({ "limits": { "requestsPerSecond": 10_000 } });
    let (one, other) = tokio::try_join!(
        TestTenant::create(&platform, "one", spec.clone()),
        TestTenant::create(&platform, "other", spec),
    )?;
    let running = Traffic::start(other.request("crm", Method::GET, "/contacts").await?);
    for state in ["Suspended", "Active", "Suspended"] {
        one.change(json!({ "state": state })).await?;
        one.serves(if state == "Active" { 200 } else { 403 }).await;
    }
    let seen = running.end().await?;
    let felt = seen.iter().find(|request| request.status != 200);
    ensure!(felt.is_none(), "{felt:?}");
    tokio::try_join!(one.erase(), other.erase())?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_can_be_made_suspended_and_is_not_served_for_a_moment() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::apply_new(&platform, "dormant", json!({ "state": "Suspended" })).await?;
    let running = Traffic::start(tenant.request("crm", Method::GET, "/contacts").await?);
    tenant.condition("Ready", "False", "Suspended").await;
    let seen = running.end_after(Instant::now()).await?;
    let served = seen.iter().find(|one| one.status != 403);
    ensure!(served.is_none(), "{served:?}");
    tenant.change(json!({ "state": "Active" })).await?;
    tenant.serves(200).await;
    tenant.erase().await
}
