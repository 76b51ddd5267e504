//! A company buys, receives and sells; its books balance; a service that is withdrawn is missed politely, and its data is there
//! when it comes back.

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{Person, balance, books_agree_with_stock, books_balance, company, everything, everything_but, in_stock};

#[tokio::test]
async fn a_company_buys_receives_and_sells_and_its_books_balance() -> anyhow::Result<()> {
    let company = company("story").await?;
    let administrator = Person::new(&company, "ada", &["tenant-admin"])?;
    let clerk = Person::new(&company, "rita", &["procurement-requester"])?;
    let approver = Person::new(&company, "abel", &["procurement-director"])?;
    let buyer =
        Person::new(&company, "bob", &["procurement-buyer", "stock-mover", "ledger-poster", "inventory-manager"])?;
    let kim = Person::new(&company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])?;

    // What everyone may have is told by the services themselves.
    for (service, role) in
        [("pos", "pos-cashier"), ("finance", "finance-manager"), ("procurement", "procurement-buyer")]
    {
        let roles = kim.get(&format!("{service}/roles")).await?;
        ensure!(roles.as_array().into_iter().flatten().any(|one| one["name"] == role), "{service}: {roles}");
    }
    let workflow = json!({ "approvals": [{ "above": "10.00", "role": "procurement-director" }] });
    administrator.configure("procurement", workflow).await?;

    buyer.post("inventory/items", json!({ "sku": "CLOTH", "name": "Cloth", "unit": "m" })).await?;
    let supplier = buyer.post("procurement/suppliers", json!({ "name": "Weavers" })).await?;
    let wanted = json!({ "title": "Cloth", "currency": "EUR",
        "lines": [{ "sku": "CLOTH", "description": "Cloth", "quantity": "40", "unitPrice": "3.50" }] });
    let asked = clerk.post("procurement/requisitions", wanted).await?;
    let requisition = format!("procurement/requisitions/{}", asked["id"].as_str().context("no id")?);
    clerk.post(&format!("{requisition}/submission"), json!({})).await?;
    approver.post(&format!("{requisition}/decision"), json!({ "approve": true })).await?;
    let order = json!({ "requisitionId": asked["id"], "supplierId": supplier["id"] });
    let order = buyer.post("procurement/orders", order).await?;
    let receipts = format!("procurement/orders/{}/receipts", order["id"].as_str().context("no id")?);
    let came = json!({ "lines": [{ "position": 1, "quantity": "40" }] });
    let received = buyer.ask(Method::POST, &receipts, Some(came), Some("truck")).await?;
    ensure!(received.status == 201, "{received:?}");

    kim.put("pos/registers/SHOP", json!({ "name": "Shop", "currency": "EUR" })).await?;
    let shift = kim.post("pos/shifts", json!({ "register": "SHOP", "float": "100.00" })).await?;
    let sell = |quantity: &str| {
        json!({ "shiftId": shift["id"], "payment": "Card", "lines": [
            { "sku": "CLOTH", "description": "Cloth", "quantity": quantity, "unitPrice": "11.90", "taxRate": "19" },
            { "description": "Hemming", "quantity": "1", "unitPrice": "5.95", "taxRate": "19" },
        ] })
    };
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    kim.put(&sale, sell("15.5")).await?;
    ensure!(in_stock(&buyer, "CLOTH").await? == ("24.5".to_owned(), "85.75".to_owned()));
    for (account, stands_at) in [
        ("1000", "190.40"),
        ("1200", "85.75"),
        ("2000", "-140.00"),
        ("2100", "-30.40"),
        ("4000", "-160.00"),
        ("5000", "54.25"),
    ] {
        let stands = balance(&buyer, account).await?;
        ensure!(stands == stands_at, "{account} stands at {stands}, not at {stands_at}");
    }
    books_agree_with_stock(&buyer).await?;

    // Inventory is withdrawn: what needs it says so, the rest goes on.
    company.change(everything_but("inventory")).await?;
    kim.refused(Method::PUT, &format!("pos/sales/{}", Uuid::now_v7()), sell("1"), 403, "needs inventory").await?;
    kim.refused(Method::GET, "inventory/stock", json!(null), 403, "not entitled to inventory").await?;
    // What was sold before is answered as it was. Money is given back for it, of which the books hear; the goods don't come back.
    let again = kim.ask(Method::PUT, &sale, Some(sell("15.5")), None).await?;
    ensure!(again.status == 200 && again.body["total"] == "190.40", "{again:?}");
    let back = json!({ "shiftId": shift["id"], "lines": [{ "position": 1, "quantity": "1" }] });
    let refunded = kim.put(&format!("{sale}/refunds/{}", Uuid::now_v7()), back).await?;
    let told = refunded["deliveries"].as_array().context("deliveries")?;
    ensure!(told.len() == 1 && told[0]["service"] == "finance" && told[0]["state"] == "Done", "{refunded}");
    ensure!(refunded["amount"] == "11.90" && balance(&buyer, "1000").await? == "178.50", "{refunded}");
    let hemming = json!({ "shiftId": shift["id"], "payment": "Cash",
        "lines": [{ "description": "Hemming", "quantity": "1", "unitPrice": "5.95", "taxRate": "19" }] });
    let sold = kim.put(&format!("pos/sales/{}", Uuid::now_v7()), hemming).await?;
    ensure!(sold["deliveries"][0]["state"] == "Done", "{sold}");

    company.change(everything()).await?;
    ensure!(in_stock(&buyer, "CLOTH").await? == ("24.5".to_owned(), "85.75".to_owned()), "what was there is there");
    kim.put(&format!("pos/sales/{}", Uuid::now_v7()), sell("1")).await?;
    ensure!(in_stock(&buyer, "CLOTH").await?.0 == "23.5");
    books_agree_with_stock(&buyer).await?;
    books_balance(&buyer, "EUR", &["1000", "1200", "2000", "2100", "4000", "5000"]).await?;
    Ok(())
}
