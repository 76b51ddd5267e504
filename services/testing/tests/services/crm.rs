//! CRM from end to end: records, their links, conflicts, paging, search, campaigns.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_testing::{Answer, Platform, TestTenant, tokens::token};
use reqwest::Method;
use serde_json::{Value, json};

/// Makes a record and returns it.
async fn make(tenant: &TestTenant, path: &str, body: Value) -> anyhow::Result<Value> {
    let answer = tenant.ask("crm", Method::POST, path, Some(body)).await?;
    ensure!(answer.status == 201, "{path}: {answer:?}");
    Ok(answer.body)
}

/// The path of a record.
fn path(kind: &str, record: &Value) -> String {
    format!("/{kind}/{}", record["id"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_deal_is_won_with_a_contact_of_a_company() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "crm", json!({})).await?;
    let custom = json!({ "segment": "B2B", "größe": 12, "tags": ["a", "b"], "nested": { "empty": {} } });
    let company = json!({ "name": "Nordlicht GmbH", "domain": "nordlicht.example", "custom": custom });
    let company = make(&tenant, "/companies", company).await?;
    ensure!(company["custom"] == custom && company["version"] == 1, "{company}");
    let contact = json!({
        "companyId": company["id"], "givenName": "Ada", "familyName": "Lovelace", "email": "Ada@Nordlicht.example",
        "phone": "+49 30 1234567",
    });
    let contact = make(&tenant, "/contacts", contact).await?;
    ensure!(contact["email"] == "ada@nordlicht.example", "{contact}");
    let mut wanted = json!({
        "title": "Looms", "companyId": company["id"], "contactId": contact["id"], "amount": "1250.5", "currency": "EUR",
    });
    let deal = make(&tenant, "/deals", wanted.clone()).await?;
    ensure!(deal["stage"] == "Lead" && deal["amount"] == "1250.50" && deal["currency"] == "EUR", "{deal}");

    for (stage, amount) in [("Qualified", "9999999999999999.99"), ("Won", "0.01")] {
        (wanted["stage"], wanted["amount"]) = (stage.into(), amount.into());
        let moved = tenant.ask("crm", Method::PUT, &path("deals", &deal), Some(wanted.clone())).await?;
        ensure!(moved.status == 200, "{moved:?}");
        let read = tenant.read(&path("deals", &deal)).await?;
        ensure!(read.body == moved.body && read.body["stage"] == stage && read.body["amount"] == amount, "{read:?}");
    }

    // A company that a deal names stays; a contact goes, and the deal forgets it.
    let refused = tenant.ask("crm", Method::DELETE, &path("companies", &company), None).await?;
    ensure!((refused.status, refused.code()) == (409, "conflict"), "{refused:?}");
    ensure!(tenant.ask("crm", Method::DELETE, &path("contacts", &contact), None).await?.status == 204);
    ensure!(tenant.read(&path("deals", &deal)).await?.body["contactId"].is_null());
    for (kind, record) in [("deals", &deal), ("companies", &company)] {
        ensure!(tenant.ask("crm", Method::DELETE, &path(kind, record), None).await?.status == 204, "{kind}");
        for method in [Method::GET, Method::DELETE] {
            let gone = tenant.ask("crm", method, &path(kind, record), None).await?;
            ensure!((gone.status, gone.code()) == (404, "not-found"), "{kind}: {gone:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_users_do_not_overwrite_each_others_changes() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "conflict", json!({})).await?;
    for (kind, field) in [("companies", "name"), ("contacts", "familyName"), ("deals", "title")] {
        let record = make(&tenant, &format!("/{kind}"), json!({ field: "First" })).await?;
        let put = async |version: &str, value: &str| {
            let request = tenant.request("crm", Method::PUT, &path(kind, &record)).await?;
            Answer::of(request.header("If-Match", version).json(&json!({ field: value }))).await
        };
        let changed = put("\"1\"", "Second").await?;
        ensure!(changed.status == 200 && changed.body["version"] == 2, "{kind}: {changed:?}");
        let late = put("\"1\"", "Lost").await?;
        ensure!((late.status, late.code()) == (412, "changed-meanwhile"), "{kind}: {late:?}");
        let malformed = put("W/whatever", "Lost").await?;
        ensure!(malformed.status == 422, "{kind}: {malformed:?}");
        ensure!(tenant.read(&path(kind, &record)).await?.body[field] == "Second", "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_show_every_record_once_while_others_come_and_go() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "paging", json!({})).await?;
    let mut expected = BTreeSet::new();
    for number in 0..23 {
        expected.insert(tenant.add_contact(&format!("Contact {number}")).await?);
    }
    let (mut seen, mut next, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let cursor = next.as_str().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = tenant.read(&format!("/contacts?limit=5{cursor}")).await?;
        ensure!(page.status == 200, "{page:?}");
        let items = page.body["items"].as_array().context("no items")?;
        seen.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        pages += 1;
        next = page.body["next"].clone();
        if next.is_null() {
            break;
        }
        ensure!(items.len() == 5, "a page of {} that is not the last", items.len());
        // What the next page goes on after is deleted, and something new comes in.
        let last = seen.last().context("an empty page")?;
        ensure!(tenant.ask("crm", Method::DELETE, &format!("/contacts/{last}"), None).await?.status == 204);
        expected.insert(tenant.add_contact("Late").await?);
    }
    ensure!(pages > 4, "{pages} pages");
    let distinct: BTreeSet<_> = seen.iter().cloned().collect();
    ensure!(distinct.len() == seen.len(), "doubles in {seen:?}");
    ensure!(distinct == expected, "gaps: {:?}", expected.difference(&distinct));
    Ok(())
}

#[tokio::test]
async fn search_finds_words_of_companies_contacts_and_deals() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "search", json!({})).await?;
    make(&tenant, "/companies", json!({ "name": "Großhandel Müller", "domain": "mueller.example" })).await?;
    make(&tenant, "/contacts", json!({ "givenName": "Jörg", "familyName": "Müller" })).await?;
    make(&tenant, "/deals", json!({ "title": "Webstühle für Müller" })).await?;
    make(&tenant, "/deals", json!({ "title": "Something else" })).await?;
    for (words, expected) in [
        ("müller", vec!["company", "contact", "deal"]),
        ("MÜLL", vec!["company", "contact", "deal"]),
        ("jörg müller", vec!["contact"]),
        ("webst", vec!["deal"]),
        ("mueller.example", vec!["company"]),
        ("müller nobody", vec![]),
    ] {
        let request = tenant.request("crm", Method::GET, "/search").await?.query(&[("q", words)]);
        let found = Answer::of(request).await?;
        let hits = found.body.as_array().with_context(|| format!("{found:?}"))?;
        let mut kinds: Vec<_> = hits.iter().filter_map(|hit| hit["kind"].as_str()).collect();
        kinds.sort_unstable();
        ensure!(kinds == expected, "{words}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_campaign_counts_each_member_once() -> anyhow::Result<()> {
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let tenant = TestTenant::create(&Platform::start().await?, "campaign", entitled).await?;
    let campaign = make(&tenant, "/campaigns", json!({ "name": "Spring" })).await?;
    ensure!(campaign["status"] == "Draft" && campaign["members"] == 0, "{campaign}");
    let twice = tenant.ask("crm", Method::POST, "/campaigns", Some(json!({ "name": "Spring" }))).await?;
    ensure!((twice.status, twice.code()) == (409, "conflict"), "{twice:?}");
    for family_name in ["Lovelace", "Hopper"] {
        let contact = tenant.add_contact(family_name).await?;
        let member = format!("{}/members/{contact}", path("campaigns", &campaign));
        for _ in 0..2 {
            let added = tenant.ask("crm", Method::PUT, &member, None).await?;
            ensure!(added.status == 204, "{added:?}");
        }
    }
    let campaigns = tenant.read("/campaigns").await?;
    ensure!(campaigns.body[0]["members"] == 2, "{campaigns:?}");
    Ok(())
}

#[tokio::test]
async fn fields_that_a_tenants_administrator_declares_are_the_tenants_own() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let (tenant, other) = tokio::try_join!(
        TestTenant::create(&platform, "fields", json!({})),
        TestTenant::create(&platform, "fields-other", json!({})),
    )?;
    let declared = json!({ "customFields": { "contact": [
        { "name": "loyaltyNumber", "type": "Text", "required": true }, { "name": "since", "type": "Date" },
    ] } });
    let administrator = token(&tenant.name, &["tenant-admin"])?;
    let set =
        platform.ask(TENANT_SERVICE, Method::PUT, "/settings/crm", &administrator, Some(declared.clone())).await?;
    ensure!(set.status == 200, "{set:?}");
    platform.settings_published(&tenant.name, "crm", &declared).await;
    let contact = |custom: Value| json!({ "familyName": "Lovelace", "custom": custom });
    for (custom, complaint) in [
        (json!({}), "custom.loyaltyNumber: is required"),
        (json!({ "loyaltyNumber": 7 }), "custom.loyaltyNumber: must be a text"),
        (json!({ "loyaltyNumber": "7", "since": "yesterday" }), "custom.since: must be a date such as 2026-11-24"),
        (
            json!({ "loyaltyNumber": "7", "color": "red" }),
            "custom.color: there is no such field; declared are loyaltyNumber, since",
        ),
    ] {
        let refused = tenant.ask("crm", Method::POST, "/contacts", Some(contact(custom.clone()))).await?;
        ensure!((refused.status, refused.code()) == (422, "invalid"), "{custom}: {refused:?}");
        ensure!(refused.body["detail"] == complaint, "{custom}: {refused:?}");
    }
    let full = json!({ "loyaltyNumber": "7", "since": "2026-11-24" });
    let made = make(&tenant, "/contacts", contact(full.clone())).await?;
    ensure!(made["custom"] == full, "{made}");
    make(&tenant, "/companies", json!({ "name": "Nordlicht GmbH", "custom": { "color": "red" } })).await?;
    make(&other, "/contacts", contact(json!({ "color": "red" }))).await?;

    // A declaration that can't be read is said of each record that it would concern, and not taken for none.
    // It may have been made when the schema was another one.
    let unreadable = format!(
        "UPDATE {}.setting SET value = '{{\"customFields\": {{\"contact\": \"x\"}}}}'; SELECT pg_notify('settings', '{}')",
        tenant.role(),
        tenant.name,
    );
    platform.sql("tenant_service", &unreadable).await?;
    platform.settings_published(&tenant.name, "crm", &json!({ "customFields": { "contact": "x" } })).await;
    let refused = tenant.ask("crm", Method::POST, "/contacts", Some(contact(full))).await?;
    ensure!((refused.status, refused.code()) == (409, "conflict"), "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("customFields"), "it must say what to mend: {detail}");
    Ok(())
}
