//! What one company's records may take: of a page, of a record, and of the volume that all share.

use std::time::Duration;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use easycode_testing::{Answer, Platform, TestTenant, until};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

/// Bytes of each contact's own fields, which don't compress.
const CUSTOM_BYTES: usize = 15 << 10;
/// Time in which what was written is measured anew.
const MEASURED_WITHIN: Duration = Duration::from_secs(20);

async fn company(limits: Value) -> anyhow::Result<TestTenant> {
    TestTenant::create(&Platform::start().await?, "large", json!({ "limits": limits })).await
}

async fn add_large(tenant: &TestTenant) -> anyhow::Result<Answer> {
    let random: Vec<u8> = (0..CUSTOM_BYTES * 3 / 4).map(|_| rand::random()).collect();
    let contact = json!({ "familyName": "Large", "custom": { "photo": BASE64_STANDARD.encode(random) } });
    tenant.ask("crm", Method::POST, "/contacts", Some(contact)).await
}

async fn fill(tenant: &TestTenant, contacts: usize) -> anyhow::Result<Vec<String>> {
    let added = stream::iter(0..contacts).map(|_| async {
        let added = add_large(tenant).await?;
        ensure!(added.status == 201, "{added:?}");
        Ok(added.body["id"].as_str().context("no id")?.to_owned())
    });
    added.buffer_unordered(4).try_collect().await
}

#[tokio::test]
async fn a_page_of_large_records_ends_early_and_all_are_found_page_by_page() -> anyhow::Result<()> {
    let tenant = company(json!({ "requestsPerSecond": 1000 })).await?;
    let mut added = fill(&tenant, 80).await?;
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = tenant.read(&format!("/contacts?limit=80{cursor}")).await?;
        ensure!(page.status == 200, "{page:?}");
        let bytes = page.body.to_string().len();
        ensure!(bytes < 400_000, "a page has {bytes} bytes");
        let items = page.body["items"].as_array().context("no items")?;
        found.extend(items.iter().filter_map(|one| one["id"].as_str()).map(str::to_owned));
        pages += 1;
        let Some(next) = page.body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    added.sort();
    ensure!(found == added && pages >= 4, "{} of {} found on {pages} pages", found.len(), added.len());
    Ok(())
}

#[tokio::test]
async fn a_record_with_fields_of_a_mebibyte_is_refused() -> anyhow::Result<()> {
    let tenant = company(json!({ "requestsPerSecond": 1000 })).await?;
    for (path, name) in [("/contacts", "familyName"), ("/companies", "name"), ("/deals", "title")] {
        let record = json!({ name: "Large", "custom": { "photo": "x".repeat(1_000_000) } });
        let refused = tenant.ask("crm", Method::POST, path, Some(record)).await?;
        ensure!((refused.status, refused.code()) == (422, "invalid"), "{path}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_company_whose_storage_is_full_is_warned_then_refused_and_makes_room_by_deleting() -> anyhow::Result<()> {
    let limits = |storage: &str| json!({ "requestsPerSecond": 1000, "storage": storage });
    let tenant = company(limits("1Gi")).await?;
    let added = fill(&tenant, 200).await?;
    let measure =
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = 'ROLE' AND relkind = 'r'";
    let used: u64 = tenant.platform.sql("crm", &measure.replace("ROLE", &tenant.role())).await?.trim().parse()?;

    // As much more as makes it nine tenths of the limit.
    let limit_mebibytes = used.div_ceil(1 << 20) + 1;
    let wanted = (limit_mebibytes << 20) * 9 / 10;
    let more = usize::try_from(wanted.saturating_sub(used))? / CUSTOM_BYTES;
    fill(&tenant, more).await?;
    tenant.change(json!({ "limits": limits(&format!("{limit_mebibytes}Mi")) })).await?;
    until("a write is warned of", MEASURED_WITHIN, async || {
        let written = tenant.ask("crm", Method::POST, "/contacts", Some(json!({ "familyName": "Small" }))).await?;
        ensure!(written.status == 201, "{written:?}");
        let percent: u64 = written.headers.get("easycode-storage-used-percent").context("no warning")?.parse()?;
        ensure!((80..100).contains(&percent), "{percent} %");
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    })
    .await;

    let full = used >> 20;
    tenant.change(json!({ "limits": limits(&format!("{full}Mi")) })).await?;
    let refused = add_large(&tenant).await?;
    ensure!((refused.status, refused.code()) == (507, "storage-full"), "{refused:?}");
    let page = tenant.read("/contacts?limit=1").await?;
    ensure!(page.status == 200, "reading is refused: {page:?}");
    for id in &added[..150] {
        let deleted = tenant.ask("crm", Method::DELETE, &format!("/contacts/{id}"), None).await?;
        ensure!(deleted.status == 204, "deleting is refused: {deleted:?}");
    }
    // The files are as large as before.
    let written = add_large(&tenant).await?;
    ensure!(written.status == 201, "what was deleted makes no room: {written:?}");
    Ok(())
}
