//! Procurement: nobody approves alone what the workflow wants approved by others, and nothing comes in twice.

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Person, balance, balance_in, books_agree_with_stock, company, in_stock};

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
    // What was submitted before keeps its steps.
    administrator.configure("procurement", workflow).await?;
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
    Ok(())
}

#[tokio::test]
async fn who_asks_can_take_a_requisition_back_and_only_who_can_decide_is_asked() -> anyhow::Result<()> {
    let company = company("withdrawal").await?;
    let administrator = Person::new(&company, "ada", &["tenant-admin"])?;
    let requester = Person::new(&company, "rita", &["procurement-requester"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver", "procurement-requester"])?;
    let nobodys = json!({ "approvals": [{ "role": "cfo" }] });
    let settings = "tenant-service/settings/procurement";
    administrator.refused(Method::PUT, settings, nobodys, 422, "/approvals/0/role").await?;

    let steps = json!({ "approvals": [{ "role": "procurement-approver" }, { "role": "procurement-director" }] });
    administrator.configure("procurement", steps).await?;
    let (id, submitted) = submitted(&requester, "1.00").await?;
    let path = |act: &str| format!("procurement/requisitions/{id}/{act}");
    approver.post(&path("decision"), json!({ "approve": true })).await?;
    approver.refused(Method::POST, &path("withdrawal"), json!({}), 403, "only who asks").await?;
    let draft = requester.post(&path("withdrawal"), json!({})).await?;
    ensure!(draft["status"] == "Draft" && draft["approvals"] == json!([]), "{draft}");
    ensure!(draft["version"].as_i64() > submitted["version"].as_i64(), "{draft}");
    requester.refused(Method::POST, &path("withdrawal"), json!({}), 409, "it is Draft").await?;
    approver.refused(Method::POST, &path("decision"), json!({ "approve": true }), 409, "nothing to decide").await?;
    // Submitted again, it needs all of its approvals again.
    let again = requester.post(&path("submission"), json!({})).await?;
    ensure!(again["approvals"].as_array().into_iter().flatten().all(|one| one["decision"].is_null()), "{again}");
    ensure!(approver.post(&path("decision"), json!({ "approve": true })).await?["status"] == "Submitted");
    Ok(())
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
    books_agree_with_stock(&buyer).await?;
    Ok(())
}

/// Orders so much of an item, and returns where its receipts are sent to.
async fn ordered(
    buyer: &Person<'_>,
    approver: &Person<'_>,
    (sku, quantity): (&str, &str),
    (price, currency): (&str, &str),
) -> anyhow::Result<String> {
    let wanted = json!({ "title": sku, "currency": currency, "lines": [
        { "sku": sku, "description": sku, "quantity": quantity, "unitPrice": price },
    ] });
    let wanted = buyer.post("procurement/requisitions", wanted).await?;
    let requisition = format!("procurement/requisitions/{}", wanted["id"].as_str().context("no id")?);
    buyer.post(&format!("{requisition}/submission"), json!({})).await?;
    approver.post(&format!("{requisition}/decision"), json!({ "approve": true })).await?;
    let supplier =
        buyer.post("procurement/suppliers", json!({ "name": format!("{sku} at {price} {currency}") })).await?;
    let order = json!({ "requisitionId": wanted["id"], "supplierId": supplier["id"] });
    let order = buyer.post("procurement/orders", order).await?;
    Ok(format!("procurement/orders/{}/receipts", order["id"].as_str().context("no id")?))
}

/// Receives so much of the only line, and returns in which states the deliveries of it are.
async fn receive(buyer: &Person<'_>, path: &str, quantity: &str) -> anyhow::Result<Vec<String>> {
    let came = json!({ "lines": [{ "position": 1, "quantity": quantity }] });
    let answer = buyer.ask(Method::POST, path, Some(came), Some(&Uuid::now_v7().to_string())).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let deliveries = answer.body["deliveries"].as_array().into_iter().flatten();
    Ok(deliveries.filter_map(|one| one["state"].as_str()).map(str::to_owned).collect())
}

#[tokio::test]
async fn what_comes_in_parts_is_owed_and_worth_what_was_ordered() -> anyhow::Result<()> {
    let company = company("parts").await?;
    let buyer =
        Person::new(&company, "bob", &["procurement-buyer", "stock-mover", "ledger-poster", "inventory-manager"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver"])?;
    buyer.post("inventory/items", json!({ "sku": "PIN", "name": "Pin" })).await?;
    let pins = ordered(&buyer, &approver, ("PIN", "1"), ("3.33", "EUR")).await?;
    for (worth, owed) in [("1.67", "-1.67"), ("3.33", "-3.33")] {
        ensure!(receive(&buyer, &pins, "0.5").await? == ["Done"; 2]);
        let (there, payable) = (in_stock(&buyer, "PIN").await?.1, balance(&buyer, "2000").await?);
        ensure!((&*there, &*payable) == (worth, owed), "worth {there}, owed {payable}");
        books_agree_with_stock(&buyer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_sold_before_it_comes_costs_in_the_end_what_it_came_for() -> anyhow::Result<()> {
    let company = company("variance").await?;
    let buyer =
        Person::new(&company, "bob", &["procurement-buyer", "stock-mover", "ledger-poster", "inventory-manager"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver"])?;
    let kim = Person::new(&company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])?;
    buyer.post("inventory/items", json!({ "sku": "CAKE", "name": "Cake", "allowNegative": true })).await?;
    kim.put("pos/registers/SHOP", json!({ "name": "Shop", "currency": "EUR" })).await?;
    let shift = kim.post("pos/shifts", json!({ "register": "SHOP", "float": "0.00" })).await?;
    let cakes = |quantity: &str| {
        json!({ "shiftId": shift["id"], "payment": "Cash",
            "lines": [{ "sku": "CAKE", "description": "Cake", "quantity": quantity, "unitPrice": "10.00" }] })
    };
    let stands_at = async |quantity: &str, value: &str, cost: &str| -> anyhow::Result<()> {
        let (there, worth) = in_stock(&kim, "CAKE").await?;
        ensure!((&*there, &*worth) == (quantity, value), "{there} are there, worth {worth}");
        let (stock, goods) = (balance(&kim, "1200").await?, balance(&kim, "5000").await?);
        ensure!((&*stock, &*goods) == (value, cost), "1200 is at {stock}, 5000 at {goods}");
        books_agree_with_stock(&kim).await
    };

    // Nobody knows yet what they cost.
    kim.put(&format!("pos/sales/{}", Uuid::now_v7()), cakes("2")).await?;
    stands_at("-2", "0.00", "0.00").await?;
    let dear = ordered(&buyer, &approver, ("CAKE", "10"), ("4.00", "EUR")).await?;
    ensure!(receive(&buyer, &dear, "5").await? == ["Done"; 3], "the variance was not told");
    stands_at("3", "12.00", "8.00").await?;

    // Three at 4.00, and two that are counted at as much.
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    kim.put(&sale, cakes("5")).await?;
    stands_at("-2", "-8.00", "28.00").await?;
    let cheap = ordered(&buyer, &approver, ("CAKE", "10"), ("3.00", "EUR")).await?;
    ensure!(receive(&buyer, &cheap, "1").await? == ["Done"; 3], "the variance was not told");
    stands_at("-1", "-4.00", "27.00").await?;
    // What comes back settles the rest at what it went out for.
    let back = json!({ "shiftId": shift["id"], "lines": [{ "position": 1, "quantity": "2" }] });
    kim.put(&format!("{sale}/refunds/{}", Uuid::now_v7()), back).await?;
    stands_at("1", "4.00", "19.00").await?;
    ensure!(receive(&buyer, &cheap, "9").await? == ["Done"; 2], "there is no variance");
    stands_at("10", "31.00", "19.00").await?;
    Ok(())
}

#[tokio::test]
async fn costs_are_booked_in_the_currency_they_are_in() -> anyhow::Result<()> {
    let company = company("foreign").await?;
    let buyer =
        Person::new(&company, "bob", &["procurement-buyer", "stock-mover", "ledger-poster", "inventory-manager"])?;
    let approver = Person::new(&company, "abel", &["procurement-approver"])?;
    let kim = Person::new(&company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])?;
    buyer.post("inventory/items", json!({ "sku": "SILK", "name": "Silk" })).await?;
    let dollars = ordered(&buyer, &approver, ("SILK", "10"), ("7.00", "USD")).await?;
    ensure!(receive(&buyer, &dollars, "10").await? == ["Done"; 2]);

    // Inventory can't add euros to dollars, so it refuses, and Finance is not told of what is not in stock.
    let euros = ordered(&buyer, &approver, ("SILK", "5"), ("6.00", "EUR")).await?;
    ensure!(receive(&buyer, &euros, "5").await? == ["Refused", "Pending"]);
    let refused = buyer.get("procurement/deliveries/refused").await?;
    ensure!(refused[0]["detail"].as_str().is_some_and(|why| why.contains("are in USD")), "{refused}");

    kim.put("pos/registers/SHOP", json!({ "name": "Shop", "currency": "EUR" })).await?;
    let shift = kim.post("pos/shifts", json!({ "register": "SHOP", "float": "0.00" })).await?;
    let sold = json!({ "shiftId": shift["id"], "payment": "Card",
        "lines": [{ "sku": "SILK", "description": "Silk", "quantity": "2", "unitPrice": "20.00" }] });
    kim.put(&format!("pos/sales/{}", Uuid::now_v7()), sold).await?;
    for (account, currency, stands_at) in [
        ("1200", "USD", "56.00"),
        ("1200", "EUR", "0.00"),
        ("5000", "USD", "14.00"),
        ("5000", "EUR", "0.00"),
        ("4000", "EUR", "-40.00"),
    ] {
        let stands = balance_in(&kim, account, currency).await?;
        ensure!(stands == stands_at, "{account} stands at {stands} {currency}, not at {stands_at}");
    }
    books_agree_with_stock(&kim).await?;
    Ok(())
}
