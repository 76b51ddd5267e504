//! Finance: entries balance and stay, numbers have no gaps, payments fit.

use anyhow::{Context, ensure};
use easycode_testing::{Platform, TestTenant};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Person, balance, books_balance, company};

/// What invoices and their payments move.
const INVOICED: [&str; 4] = ["1000", "1100", "2100", "4000"];

fn entry(debit: &str, credit: &str) -> Value {
    json!({ "description": "Capital", "currency": "EUR",
        "lines": [{ "account": "1000", "debit": debit }, { "account": "3000", "credit": credit }] })
}

#[tokio::test]
async fn an_entry_balances_and_stays_as_it_was_posted() -> anyhow::Result<()> {
    let company = company("ledger").await?;
    let manager = Person::new(&company, "mara", &["finance-manager"])?;
    let clerk = Person::new(&company, "carl", &["finance-clerk"])?;
    clerk.refused(Method::POST, "finance/entries", entry("1", "1"), 403, "finance-manager").await?;
    manager
        .refused(Method::POST, "finance/entries", entry("10.00", "9.99"), 422, "debits are 10.00 and credits 9.99")
        .await?;
    let unknown = json!({ "description": "x", "currency": "EUR",
        "lines": [{ "account": "9999", "debit": "1" }, { "account": "3000", "credit": "1" }] });
    manager.refused(Method::POST, "finance/entries", unknown, 422, "no account 9999").await?;

    let posted = manager.post("finance/entries", entry("100.00", "100.00")).await?;
    ensure!(posted["lines"][0]["debit"] == "100.00" && posted["postedBy"] == "mara", "{posted}");
    // The same request is done once.
    for status in [201, 200, 200] {
        let answer = manager.ask(Method::POST, "finance/entries", Some(entry("5", "5")), Some("once")).await?;
        ensure!(answer.status == status, "{answer:?}");
    }
    ensure!(balance(&manager, "1000").await? == "105.00");

    // Not even who has the database can change what is posted, or add to it, or post what does not balance.
    let platform = &company.platform;
    let id = posted["id"].as_str().unwrap_or_default();
    let schema = company.role();
    for (statement, why) in [
        (
            format!("UPDATE {schema}.entry_line SET debit = 1 WHERE entry_id = '{id}' AND position = 1"),
            "stays as it is",
        ),
        (format!("DELETE FROM {schema}.entry_line WHERE entry_id = '{id}'"), "stays as it is"),
        (format!("TRUNCATE {schema}.entry CASCADE"), "stays as it is"),
        (
            format!("INSERT INTO {schema}.entry_line VALUES ('{id}', 3, '1000', 1, 0), ('{id}', 4, '3000', 0, 1)"),
            "does not balance, or has not the lines",
        ),
        (
            format!(
                "INSERT INTO {schema}.entry VALUES (gen_random_uuid(), current_date, 'x', 'x', 'EUR', 2, NULL, NULL, NULL, 'x')"
            ),
            "does not balance, or has not the lines",
        ),
    ] {
        let refused = platform.sql("finance", &statement).await.err().map(|error| format!("{error:#}"));
        ensure!(refused.as_ref().is_some_and(|text| text.contains(why)), "{statement}: {refused:?}");
    }

    let reversal = manager.post(&format!("finance/entries/{id}/reversal"), json!({})).await?;
    ensure!(reversal["reverses"] == id && reversal["lines"][0]["credit"] == "100.00", "{reversal}");
    manager
        .refused(Method::POST, &format!("finance/entries/{id}/reversal"), json!({}), 409, "reversed already")
        .await?;
    let back = format!("finance/entries/{}/reversal", reversal["id"].as_str().unwrap_or_default());
    manager.refused(Method::POST, &back, json!({}), 409, "post what is to count as a new entry").await?;
    ensure!(balance(&manager, "1000").await? == "5.00");

    let account = json!({ "name": "Old bank", "kind": "Asset", "closed": true });
    manager.put("finance/accounts/1001", account).await?;
    let closed = json!({ "description": "x", "currency": "EUR",
        "lines": [{ "account": "1001", "debit": "1" }, { "account": "3000", "credit": "1" }] });
    manager.refused(Method::POST, "finance/entries", closed, 409, "is closed").await?;
    let turned = json!({ "name": "Cash", "kind": "Expense" });
    manager.refused(Method::PUT, "finance/accounts/1000", turned, 409, "can't be changed").await?;
    books_balance(&manager, "EUR", &["1000", "3000"]).await?;
    Ok(())
}

#[tokio::test]
async fn invoices_are_numbered_without_a_gap_posted_and_paid_as_much_as_is_open() -> anyhow::Result<()> {
    let company = company("invoice").await?;
    let clerk = Person::new(&company, "carl", &["finance-clerk"])?;
    let manager = Person::new(&company, "mara", &["finance-manager"])?;
    let draft = |price: &str| {
        json!({ "customer": "Borealis GmbH", "currency": "EUR", "lines": [
            { "description": "Consulting", "quantity": "2.5", "unitPrice": price, "taxRate": "19" },
            { "description": "Travel", "quantity": "1", "unitPrice": "10.01", "taxRate": "7" },
        ] })
    };
    let drafts = try_join_all((0..8).map(|_| clerk.post("finance/invoices", draft("100.00")))).await?;
    let ids: Vec<_> = drafts.iter().filter_map(|draft| draft["id"].as_str()).collect();
    // One is changed, one goes away before it has a number.
    clerk.put(&format!("finance/invoices/{}", ids[0]), draft("99.99")).await?;
    let gone = clerk.ask(Method::DELETE, &format!("finance/invoices/{}", ids[7]), None, None).await?;
    ensure!(gone.status == 204, "{gone:?}");
    let paths: Vec<_> = ids[..7].iter().map(|id| format!("finance/invoices/{id}/issue")).collect();
    let issued = try_join_all(paths.iter().map(|path| clerk.post(path, json!({})))).await?;
    let mut numbers: Vec<_> = issued.iter().filter_map(|one| one["number"].as_i64()).collect();
    numbers.sort_unstable();
    ensure!(numbers == (1..=7).collect::<Vec<_>>(), "{numbers:?}");

    // 2.5 of 100.00 with 19 %, and 10.01 with 7 %, each line rounded.
    let invoice = format!("finance/invoices/{}", ids[1]);
    let one = clerk.get(&invoice).await?;
    ensure!((&one["net"], &one["tax"]) == (&json!("260.01"), &json!("48.20")), "{one}");
    clerk.refused(Method::PUT, &invoice, draft("1"), 409, "only a draft").await?;
    clerk.refused(Method::DELETE, &invoice, json!({}), 409, "void it").await?;
    let payments = format!("{invoice}/payments");
    clerk.refused(Method::POST, &payments, json!({ "amount": "308.22" }), 409, "at most 308.21").await?;
    for status in [201, 200] {
        let paid = clerk.ask(Method::POST, &payments, Some(json!({ "amount": "300.00" })), Some("first")).await?;
        ensure!(paid.status == status, "{paid:?}");
    }
    manager.refused(Method::POST, &format!("{invoice}/void"), json!({}), 409, "300.00 was paid").await?;
    let ages = manager.get("finance/ageing").await?;
    let age = &ages["items"][0];
    ensure!(age["customer"] == "Borealis GmbH" && age["current"] != "0.00", "{ages}");
    clerk.post(&payments, json!({ "amount": "8.21" })).await?;
    ensure!(clerk.get(&invoice).await?["status"] == "Paid");
    clerk.refused(Method::POST, &payments, json!({ "amount": "0.01" }), 409, "not paid yet").await?;

    // A payment that was none is taken back, once; the entries of invoices are no one else's to reverse.
    let paid = clerk.get(&payments).await?;
    let wrong = format!("{payments}/{}/reversal", paid["items"][1]["id"].as_str().unwrap_or_default());
    let posted = format!("finance/entries/{}/reversal", paid["items"][1]["entryId"].as_str().unwrap_or_default());
    manager.refused(Method::POST, &posted, json!({}), 409, "belongs to an invoice").await?;
    manager.post(&wrong, json!({})).await?;
    manager.refused(Method::POST, &wrong, json!({}), 409, "taken back already").await?;
    let open = clerk.get(&invoice).await?;
    ensure!((&open["status"], &open["paid"]) == (&json!("Issued"), &json!("300.00")), "{open}");
    let other_amount = clerk.ask(Method::POST, &payments, Some(json!({ "amount": "8.21" })), Some("first")).await?;
    ensure!(other_amount.status == 409, "a key is for one request: {other_amount:?}");
    clerk.post(&payments, json!({ "amount": "8.21" })).await?;
    for (statement, why) in [
        ("DELETE FROM $.payment", "a payment stays"),
        ("UPDATE $.invoice_line SET quantity = 1", "stay as they are"),
        ("DELETE FROM $.invoice WHERE number = 3", "an invoice with a number stays"),
    ] {
        let statement = statement.replace('$', &company.role());
        let refused = company.platform.sql("finance", &statement).await.err().map(|error| format!("{error:#}"));
        ensure!(refused.as_ref().is_some_and(|text| text.contains(why)), "{statement}: {refused:?}");
    }

    let other = format!("finance/invoices/{}/void", ids[2]);
    clerk.refused(Method::POST, &other, json!({}), 403, "finance-manager").await?;
    let void = manager.post(&other, json!({})).await?;
    ensure!(void["status"] == "Void", "{void}");
    // Reversed once more, what it was of would be in the books again.
    let entries = manager.get("finance/entries?limit=100").await?;
    let reversal = entries["items"].as_array().into_iter().flatten().find(|one| one["reverses"] == void["entryId"]);
    let reversal =
        reversal.and_then(|one| one["id"].as_str()).context("the entry of a void invoice is not reversed")?;
    let back = format!("finance/entries/{reversal}/reversal");
    manager.refused(Method::POST, &back, json!({}), 409, "post what is to count as a new entry").await?;
    ensure!(balance(&manager, "1000").await? == "308.21");
    books_balance(&manager, "EUR", &INVOICED).await?;

    // The module withdrawn, the ledger stays.
    company.change(json!({ "entitlements": [{ "service": "finance", "modules": ["ledger"] }] })).await?;
    clerk.refused(Method::GET, "finance/invoices", json!(null), 403, "invoicing").await?;
    clerk.refused(Method::GET, "finance/ageing", json!(null), 403, "invoicing").await?;
    books_balance(&manager, "EUR", &INVOICED).await?;
    Ok(())
}

#[tokio::test]
async fn who_only_writes_invoices_sees_who_owes_what() -> anyhow::Result<()> {
    let bought = json!({ "entitlements": [{ "service": "finance", "modules": ["invoicing"] }] });
    let company = TestTenant::create(&Platform::start().await?, "ageing", bought).await?;
    let clerk = Person::new(&company, "carl", &["finance-clerk"])?;
    let draft = json!({ "customer": "Borealis GmbH", "currency": "EUR",
        "lines": [{ "description": "Consulting", "quantity": "1", "unitPrice": "50.00" }] });
    let draft = clerk.post("finance/invoices", draft).await?;
    clerk.post(&format!("finance/invoices/{}/issue", draft["id"].as_str().unwrap_or_default()), json!({})).await?;
    let ages = clerk.get("finance/ageing").await?;
    ensure!(ages["items"][0]["current"] == "50.00", "{ages}");
    clerk.refused(Method::GET, "finance/trial-balance", json!(null), 403, "ledger").await?;
    Ok(())
}
