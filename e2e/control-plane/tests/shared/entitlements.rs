//! Entitlements come and go while requests run: effective within a second, in the API and in the database; data stays.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_crds::{Tenant, tenant::ServiceData};
use easycode_e2e::{
    platform::Platform,
    tenant::TestTenant,
    traffic::{Traffic, refused_within_a_second},
    wait::until,
};
use futures::future::try_join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, raw_sql};

/// A tenant whose limit of requests leaves room for traffic.
async fn create(what: &str, mut spec: Value) -> anyhow::Result<TestTenant> {
    spec["limits"] = json!({ "requestsPerSecond": 10_000 });
    TestTenant::create(&Platform::example().await?, what, spec).await
}

async fn traffic(tenant: &TestTenant, path: &str) -> anyhow::Result<Traffic> {
    let traffic = Traffic::start(tenant.request("crm", Method::GET, path).await?);
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(traffic)
}

/// Whether CRM's login may act as the tenant in the database.
async fn granted(tenant: &TestTenant) -> anyhow::Result<bool> {
    let mut session = tenant.platform.session_of("crm").await?;
    match raw_sql(AssertSqlSafe(format!("SET ROLE {}", tenant.role()))).execute(&mut session).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Family names of the contacts in the tenant's schema, or nothing if there is no schema.
async fn rows(tenant: &TestTenant) -> anyhow::Result<Option<String>> {
    let schema = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", tenant.role());
    if tenant.platform.sql("crm", &schema).await? == "0" {
        return Ok(None);
    }
    let names = format!("SELECT string_agg(family_name, ',' ORDER BY id) FROM {}.contact", tenant.role());
    Ok(Some(tenant.platform.sql("crm", &names).await?))
}

/// What the status says of CRM's data.
fn data_of_crm(tenant: &Tenant) -> Option<&ServiceData> {
    tenant.status.as_ref()?.services.iter().find(|data| data.service == "crm")
}

#[tokio::test]
async fn a_withdrawn_service_is_refused_within_a_second_and_its_data_stays() -> anyhow::Result<()> {
    let tenant = create("withdrawn", json!({})).await?;
    tenant.add_contact("Kept").await?;
    let running = traffic(&tenant, "/contacts").await?;
    let begun = Instant::now();
    tenant.change(json!({ "entitlements": [] })).await?;
    let changed = Instant::now();
    refused_within_a_second(&running.end_after(changed).await?, begun, changed, "not-entitled")?;

    let reported = tenant.ready().await;
    ensure!(!granted(&tenant).await?, "CRM may still act as the tenant in the database");
    ensure!(rows(&tenant).await?.as_deref() == Some("Kept"), "the rows are gone");
    let data = data_of_crm(&reported).context("the status does not speak of the data")?;
    let until: Timestamp = data.retained_until.as_deref().context("no retainedUntil")?.parse()?;
    let days = until.duration_since(Timestamp::now()).as_hours() / 24;
    ensure!(!data.entitled && (29..=30).contains(&days), "{data:?}");

    tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Kept", "{answer:?}");
    let reported = tenant.ready().await;
    let data = data_of_crm(&reported).context("the status does not speak of the data")?;
    ensure!(data.entitled && data.retained_until.is_none(), "{data:?}");
    tenant.erase().await
}

#[tokio::test]
async fn a_service_is_added_without_an_error_for_who_is_asking_already() -> anyhow::Result<()> {
    let tenant = create("added", json!({ "entitlements": [] })).await?;
    ensure!(!granted(&tenant).await?, "granted before it is entitled");
    let running = traffic(&tenant, "/contacts").await?;
    tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    let changed = Instant::now();
    tenant.serves(200).await;
    println!("served {:?} after the write", changed.elapsed());
    let seen = running.end_after(Instant::now()).await?;
    let first = seen.iter().position(|one| one.status == 200).context("never served")?;
    let (before, after) = seen.split_at(first);
    let wrong = before.iter().find(|one| (one.status, one.code.as_str()) != (403, "not-entitled"));
    ensure!(wrong.is_none(), "before it was there: {wrong:?}");
    let wrong = after.iter().find(|one| one.status != 200);
    ensure!(wrong.is_none(), "once it was served: {wrong:?}");
    ensure!(granted(&tenant).await?, "served without a grant");
    tenant.erase().await
}

#[tokio::test]
async fn a_module_comes_and_goes_while_requests_run() -> anyhow::Result<()> {
    let tenant = create("module", json!({})).await?;
    let with = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let running = traffic(&tenant, "/campaigns").await?;
    tenant.change(with).await?;
    let changed = Instant::now();
    let seen = running.end_after(changed).await?;
    let late = seen.iter().filter(|one| one.asked > changed + Duration::from_secs(1));
    let wrong = late.clone().find(|one| one.status != 200);
    ensure!(late.count() > 0 && wrong.is_none(), "not served a second after it was added: {wrong:?}");
    let wrong = seen.iter().find(|one| one.status != 200 && one.code != "module-not-entitled");
    ensure!(wrong.is_none(), "{wrong:?}");

    let campaign = tenant.ask("crm", Method::POST, "/campaigns", Some(json!({ "name": "Spring" }))).await?;
    ensure!(campaign.status == 201, "{campaign:?}");
    let running = traffic(&tenant, "/campaigns").await?;
    let begun = Instant::now();
    tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    let changed = Instant::now();
    refused_within_a_second(&running.end_after(changed).await?, begun, changed, "module-not-entitled")?;
    ensure!(tenant.read("/contacts").await?.status == 200, "the service went with its module");
    tenant.erase().await
}

#[tokio::test]
async fn data_of_a_withdrawn_service_is_erased_after_its_retention_and_no_earlier() -> anyhow::Result<()> {
    let tenant = create("retention", json!({ "retention": "3s" })).await?;
    tenant.add_contact("Gone").await?;
    let begun = Instant::now();
    tenant.change(json!({ "entitlements": [] })).await?;
    // Times in the registry are whole seconds.
    while begun.elapsed() < Duration::from_millis(1_500) {
        ensure!(rows(&tenant).await?.as_deref() == Some("Gone"), "erased after {:?}", begun.elapsed());
    }
    until("the data is erased and the status says so", Duration::from_secs(15), || async {
        ensure!(rows(&tenant).await?.is_none(), "the schema is there");
        let reported = tenant.get().await?;
        ensure!(data_of_crm(&reported).is_none(), "the status speaks of data");
        Ok(())
    })
    .await;
    println!("erased {:?} after the write", begun.elapsed());
    let registered = format!("SELECT count(*) FROM easycode.tenant_schema WHERE name = '{}'", tenant.role());
    ensure!(tenant.platform.sql("crm", &registered).await? == "0", "still registered");
    tenant.ready().await;
    tenant.change(json!({ "entitlements": [{ "service": "crm" }] })).await?;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"] == json!([]), "{answer:?}");
    tenant.erase().await
}

#[tokio::test]
async fn what_the_release_lacks_is_told_and_the_rest_is_served() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let spec = json!({ "entitlements": [{ "service": "payroll" }, { "service": "crm" }] });
    let tenant = TestTenant::apply_new(&platform, "unknown", spec).await?;
    for (spec, reason, named, offered) in [
        (None, "UnknownService", "payroll", "crm"),
        (Some(json!([{ "service": "crm", "modules": ["loyalty"] }])), "UnknownModule", "loyalty", "campaigns"),
    ] {
        if let Some(entitlements) = spec {
            tenant.change(json!({ "entitlements": entitlements })).await?;
        }
        let reported = tenant.condition("EntitlementsValid", "False", reason).await;
        let conditions = reported.status.map(|status| status.conditions).unwrap_or_default();
        for type_ in ["EntitlementsValid", "Ready"] {
            let condition = conditions.iter().find(|one| one.type_ == type_).context("no condition")?;
            ensure!((condition.status.as_str(), condition.reason.as_str()) == ("False", reason), "{condition:?}");
            let message = &condition.message;
            ensure!(message.contains(named) && message.contains(offered), "{type_}: {message}");
        }
        tenant.serves(200).await;
    }
    tenant.change(json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] })).await?;
    tenant.ready().await;
    ensure!(tenant.read("/campaigns").await?.status == 200);
    tenant.erase().await
}

#[tokio::test]
async fn bad_input_of_one_tenant_delays_no_other() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let bad = json!({ "entitlements": [{ "service": "payroll" }, { "service": "crm", "modules": ["loyalty"] }] });
    let elsewhere = json!({ "region": "nowhere" });
    let started = Instant::now();
    let (bad, good) = tokio::try_join!(
        try_join_all((0..4).map(|number| {
            let spec = if number % 2 == 0 { bad.clone() } else { elsewhere.clone() };
            TestTenant::apply_new(&platform, "bad", spec)
        })),
        async {
            let good = TestTenant::create(&platform, "good", json!({})).await?;
            good.serves(200).await;
            anyhow::Ok((good, started.elapsed()))
        },
    )?;
    let (good, took) = good;
    println!("the good one was served after {took:?}");
    ensure!(took < Duration::from_secs(10), "the good one waited for {took:?}");
    for (number, tenant) in bad.iter().enumerate() {
        let reason = if number % 2 == 0 { "UnknownService" } else { "NoPlatformInRegion" };
        tenant.condition("Ready", "False", reason).await;
    }
    try_join_all(bad.iter().chain([&good]).map(TestTenant::erase)).await?;
    Ok(())
}
