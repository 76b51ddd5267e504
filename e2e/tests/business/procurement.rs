//! Procurement: nobody approves alone what the workflow wants approved by others, and nothing comes in twice.

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Person, balance, books_balance, company, in_stock};

fn wanted(price: &str) -> Value {
    json!({ "title": "Bolts", "currency": "EUR", "lines": [
        { "sku": "BOLT", "description": "Bolt", "quantity": "100", "unitPrice": price },
        { "description": "Delivery", "quantity": "1", "unitPrice": "20.00" },
    ] })
}

async fn submitted(by: &Person<'_>, price: &str) -> anyhow::Result<(String, Value)> {
    let made = by.post("procurement/requisitions", wanted(price)).await?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    let submitted = by.post(&format!("procurement/requisitions/{id}/submission"), json!({})).await?;
    Ok((id, submitted))
}

#[tokio::test]
async fn a_requisition_goes_through_the_steps_of_the_tenants_workflow() -> anyhow::Result<()> {
    let company = company("workflow").await?;
    let administrator = Person::new(&company, "ada", &["tenant-admin"])?;
    let requester =
        Person::new(&company, "rita", &["procurement-requester", "procurement-approver", "procurement-director"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver", "procurement-director"])?;
    let officer = Person::new(&company, "cleo", &["procurement-director"])?;
    let (id, without) = submitted(&requester, "1.00").await?;
    ensure!(without["status"] == "Submitted" && without["approvals"][0]["role"] == "procurement-approver", "{without}");

    let workflow = json!({ "approvals": [{ "above": "100.00", "role": "procurement-approver" }, { "above": "1000.00", "role": "procurement-director" }] });
    administrator.put("tenant-service/settings/procurement", workflow).await?;
    // The workflow reaches the service within a second; what was submitted before keeps its steps.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (_, small) = submitted(&requester, "0.80").await?;
    ensure!(small["status"] == "Approved", "{small}");
    let (big, steps) = submitted(&requester, "10.00").await?;
    ensure!(steps["approvals"].as_array().map(Vec::len) == Some(2), "{steps}");

    let decision = format!("procurement/requisitions/{big}/decision");
    let yes = || json!({ "approve": true, "comment": "needed" });
    requester.refused(Method::POST, &decision, yes(), 403, "asked for themselves").await?;
    officer.refused(Method::POST, &decision, yes(), 403, "procurement-approver").await?;
    ensure!(approver.post(&decision, yes()).await?["status"] == "Submitted");
    approver.refused(Method::POST, &decision, yes(), 403, "someone else").await?;
    let order = json!({ "requisitionId": big, "supplierId": uuid::Uuid::nil() });
    requester.refused(Method::POST, "procurement/orders", order, 403, "procurement-buyer").await?;
    let decided = officer.post(&decision, yes()).await?;
    ensure!(decided["status"] == "Approved" && decided["approvals"][1]["decidedBy"] == "cleo", "{decided}");

    let rejection = format!("procurement/requisitions/{id}/decision");
    let rejected = approver.post(&rejection, json!({ "approve": false, "comment": "too dear" })).await?;
    ensure!(rejected["status"] == "Rejected", "{rejected}");
    let again = requester.put(&format!("procurement/requisitions/{id}"), wanted("0.50")).await?;
    ensure!(again["status"] == "Draft" && again["approvals"] == json!([]), "{again}");
    company.erase().await
}

#[tokio::test]
async fn what_was_ordered_comes_in_once_into_stock_and_ledger() -> anyhow::Result<()> {
    let company = company("receiving").await?;
    let buyer =
        Person::new(&company, "bob", &["procurement-buyer", "stock-mover", "ledger-poster", "inventory-manager"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver"])?;
    buyer.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    let supplier =
        buyer.post("procurement/suppliers", json!({ "name": "Bolts & Co", "email": "sales@bolts.example" })).await?;
    let (id, _) = submitted(&buyer, "1.25").await?;
    let order = json!({ "requisitionId": id, "supplierId": supplier["id"] });
    buyer.refused(Method::POST, "procurement/orders", order.clone(), 409, "only what is approved").await?;
    approver.post(&format!("procurement/requisitions/{id}/decision"), json!({ "approve": true })).await?;
    let made = buyer.post("procurement/orders", order.clone()).await?;
    buyer.refused(Method::POST, "procurement/orders", order, 409, "it is Ordered").await?;

    let path = format!("procurement/orders/{}/receipts", made["id"].as_str().unwrap_or_default());
    let came =
        |bolts: &str| json!({ "lines": [{ "position": 1, "quantity": bolts }, { "position": 2, "quantity": "1" }] });
    buyer.refused(Method::POST, &path, came("60"), 422, "Idempotency-Key").await?;
    for status in [201, 200] {
        let answer = buyer.ask(Method::POST, &path, Some(came("60")), Some("truck-1")).await?;
        ensure!(answer.status == status, "{answer:?}");
        let states: Vec<_> =
            answer.body["deliveries"].as_array().into_iter().flatten().map(|one| one["state"].clone()).collect();
        ensure!(states == [json!("Done"), json!("Done")], "{answer:?}");
    }
    ensure!(in_stock(&buyer, "BOLT").await? == ("60".to_owned(), "75.00".to_owned()));
    ensure!(balance(&buyer, "2000").await? == "-95.00" && balance(&buyer, "1200").await? == "75.00");
    let too_much = json!({ "lines": [{ "position": 1, "quantity": "41" }] });
    let refused = buyer.ask(Method::POST, &path, Some(too_much), Some("truck-2")).await?;
    ensure!(
        refused.status == 409
            && refused.body["detail"].as_str().is_some_and(|text| text.contains("40 are still to come")),
        "{refused:?}"
    );
    let rest = json!({ "lines": [{ "position": 1, "quantity": "40" }] });
    let answer = buyer.ask(Method::POST, &path, Some(rest), Some("truck-3")).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let received = buyer.get(&format!("procurement/orders/{}", made["id"].as_str().unwrap_or_default())).await?;
    ensure!(received["received"] == true, "{received}");
    books_balance(&buyer).await?;
    company.erase().await
}
