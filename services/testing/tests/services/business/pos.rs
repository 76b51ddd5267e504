//! Point of sale: a sale happens once, takes what is there, and is told to the others sooner or later.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_testing::{Platform, TestTenant, until};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Person, balance, books_agree_with_stock, company, everything, everything_but, in_stock};

/// A shop with ten loaves that cost 2.00 each, which is in its books, and an open shift.
async fn shop(what: &str) -> anyhow::Result<(TestTenant, String)> {
    let company = company(what).await?;
    let shift = open(&company).await?;
    book_goods(&company, "20.00").await?;
    Ok((company, shift))
}

/// Takes the loaves in and opens the shift.
async fn open(company: &TestTenant) -> anyhow::Result<String> {
    let manager = Person::new(
        company,
        "ines",
        &["inventory-manager", "stock-mover", "pos-manager", "pos-cashier", "ledger-poster"],
    )?;
    manager.post("inventory/items", json!({ "sku": "BREAD", "name": "Bread" })).await?;
    let bread = json!({ "lines": [{ "sku": "BREAD", "quantity": "10", "unitCost": "2.00" }] });
    manager.post("inventory/receipts", bread).await?;
    manager.put("pos/registers/FRONT", json!({ "name": "Front", "currency": "EUR" })).await?;
    let shift = manager.post("pos/shifts", json!({ "register": "FRONT", "float": "50.00" })).await?;
    Ok(shift["id"].as_str().context("no id")?.to_owned())
}

/// Books goods that were taken in without an order.
async fn book_goods(company: &TestTenant, worth: &str) -> anyhow::Result<()> {
    let entry = json!({ "description": "Goods", "currency": "EUR",
        "lines": [{ "account": "1200", "debit": worth }, { "account": "3000", "credit": worth }] });
    Person::new(company, "mara", &["finance-manager"])?.post("finance/entries", entry).await?;
    Ok(())
}

fn cashier(company: &TestTenant) -> anyhow::Result<Person<'_>> {
    Person::new(company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])
}

fn bread(shift: &str, quantity: &str) -> Value {
    json!({ "shiftId": shift, "payment": "Cash", "lines": [
        { "sku": "BREAD", "description": "Bread", "quantity": quantity, "unitPrice": "5.35", "taxRate": "7" },
    ] })
}

/// Does something while Inventory is frozen.
async fn with_inventory_frozen<T>(
    company: &TestTenant,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let _frozen = company.platform.freeze("inventory").await;
    work.await
}

fn states(sale: &Value) -> Vec<&str> {
    sale["deliveries"].as_array().into_iter().flatten().filter_map(|one| one["state"].as_str()).collect()
}

#[tokio::test]
async fn a_sale_takes_stock_and_posts_once_however_often_it_is_sent() -> anyhow::Result<()> {
    let (company, shift) = shop("sale").await?;
    let kim = cashier(&company)?;
    let path = format!("pos/sales/{}", Uuid::now_v7());
    // Some at once, as of a register that has lost its patience.
    let answers = try_join_all((0..5).map(|_| kim.ask(Method::PUT, &path, Some(bread(&shift, "2")), None))).await?;
    ensure!(answers.iter().filter(|answer| answer.status == 201).count() == 1, "{answers:?}");
    ensure!(answers.iter().all(|answer| [200, 201, 503].contains(&answer.status)), "{answers:?}");
    let sale = kim.put(&path, bread(&shift, "2")).await?;
    ensure!(sale["total"] == "10.70" && states(&sale) == ["Done"; 3], "{sale}");
    kim.refused(Method::PUT, &path, bread(&shift, "3"), 409, "another sale").await?;
    ensure!(in_stock(&kim, "BREAD").await? == ("8".to_owned(), "16.00".to_owned()));
    for (account, stands_at) in
        [("1000", "10.70"), ("4000", "-10.00"), ("2100", "-0.70"), ("5000", "4.00"), ("1200", "16.00")]
    {
        ensure!(balance(&kim, account).await? == stands_at, "{account}: {}", balance(&kim, account).await?);
    }

    let too_many = format!("pos/sales/{}", Uuid::now_v7());
    kim.refused(Method::PUT, &too_many, bread(&shift, "9"), 409, "only 8 can be taken").await?;
    let gone = kim.ask(Method::GET, &too_many, None, None).await?;
    ensure!(gone.status == 404, "nothing was sold: {gone:?}");
    ensure!(balance(&kim, "1000").await? == "10.70");

    let refund = format!("{path}/refunds/{}", Uuid::now_v7());
    let back = |quantity: &str| json!({ "shiftId": shift, "lines": [{ "position": 1, "quantity": quantity }] });
    kim.refused(Method::PUT, &refund, back("3"), 409, "2 can come back").await?;
    for _ in 0..2 {
        let refunded = kim.put(&refund, back("1")).await?;
        ensure!(refunded["amount"] == "5.35", "{refunded}");
    }
    ensure!(in_stock(&kim, "BREAD").await? == ("9".to_owned(), "18.00".to_owned()));
    ensure!(balance(&kim, "5000").await? == "2.00" && balance(&kim, "1000").await? == "5.35");
    books_agree_with_stock(&kim).await?;

    let closed = kim.post(&format!("pos/shifts/{shift}/closing"), json!({ "counted": "55.00" })).await?;
    ensure!(closed["expected"] == "55.35" && closed["counted"] == "55.00", "{closed}");
    kim.refused(Method::PUT, &format!("pos/sales/{}", Uuid::now_v7()), bread(&shift, "1"), 409, "shift is closed")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_shop_goes_on_selling_while_inventory_is_frozen_and_tells_it_later() -> anyhow::Result<()> {
    let (company, shift) = shop("frozen").await?;
    let kim = cashier(&company)?;
    let path = format!("pos/sales/{}", Uuid::now_v7());
    let sold = with_inventory_frozen(&company, kim.put(&path, bread(&shift, "1"))).await?;
    // The ledger waits for what comes before.
    ensure!(states(&sold) == ["Pending"; 2], "{sold}");
    // As if it had been sold long ago, and so late that the day was over elsewhere.
    let schema = company.role();
    for statement in [
        format!("UPDATE {schema}.sale SET sold_at = '2026-01-15T23:30:00Z'"),
        format!("UPDATE {schema}.delivery SET body = jsonb_set(body, '{{date}}', '\"2026-01-15\"', false)"),
    ] {
        company.platform.sql("pos", &statement).await?;
    }
    until("what was pending is told", Duration::from_mins(1), || async {
        kim.post("pos/deliveries", json!({})).await?;
        let sale = kim.get(&path).await?;
        ensure!(states(&sale) == ["Done"; 3], "{sale}");
        Ok(())
    })
    .await;
    ensure!(in_stock(&kim, "BREAD").await?.0 == "9");
    ensure!(balance(&kim, "1000").await? == "5.35" && balance(&kim, "5000").await? == "2.00");
    books_agree_with_stock(&kim).await?;
    // Told late, it counts for the day on which it was sold.
    let entries = kim.get("finance/entries").await?;
    let dates: Vec<_> =
        entries["items"].as_array().into_iter().flatten().filter(|one| one["source"] == "pos").collect();
    ensure!(dates.len() == 2 && dates.iter().all(|one| one["date"] == "2026-01-15"), "{entries}");
    Ok(())
}

#[tokio::test]
async fn what_is_sold_while_inventory_is_frozen_is_booked_though_inventory_is_withdrawn() -> anyhow::Result<()> {
    let (company, shift) = shop("withdrawn").await?;
    let kim = cashier(&company)?;
    let ada = Person::new(&company, "ada", &["tenant-admin"])?;
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    let mut wanted = bread(&shift, "2");
    wanted["loyaltyCard"] = json!("77");
    let sold = with_inventory_frozen(&company, kim.put(&sale, wanted.clone())).await?;
    ensure!(states(&sold) == ["Pending"; 2], "{sold}");
    let mut left = everything_but("inventory");
    for one in left["entitlements"].as_array_mut().context("entitlements")? {
        if one["service"] == "pos" {
            one["modules"] = json!([]);
        }
    }
    company.change(left).await?;

    // It was sold, whatever was withdrawn since; and what was paid can be given back.
    kim.refused(Method::PUT, &format!("pos/sales/{}", Uuid::now_v7()), wanted.clone(), 403, "loyalty").await?;
    let again = kim.ask(Method::PUT, &sale, Some(wanted), None).await?;
    ensure!(again.status == 200 && again.body["total"] == "10.70", "{again:?}");
    let refund = format!("{sale}/refunds/{}", Uuid::now_v7());
    let back = json!({ "shiftId": shift, "lines": [{ "position": 1, "quantity": "1" }] });
    let refunded = kim.put(&refund, back.clone()).await?;
    ensure!(refunded["amount"] == "5.35" && states(&refunded) == ["Pending"], "{refunded}");

    let stuck = ada.get("pos/deliveries/refused").await?;
    let shown = stuck.as_array().context("no list")?;
    ensure!(shown.len() == 1 && shown[0]["service"] == "inventory" && shown[0]["state"] == "Pending", "{stuck}");
    ensure!(shown[0]["detail"].as_str().is_some_and(|why| why.contains("not entitled")), "{stuck}");
    let dismissal = |delivery: &Value| format!("pos/deliveries/{}/dismissal", delivery["id"].as_str().unwrap_or("?"));
    kim.refused(Method::POST, &dismissal(&shown[0]), json!({}), 403, "tenant-admin").await?;
    // What only waits its turn is not dismissed.
    ada.refused(Method::POST, &dismissal(&sold["deliveries"][1]), json!({}), 404, "no such delivery").await?;
    ensure!(ada.post(&dismissal(&shown[0]), json!({})).await?["state"] == "Dismissed");
    kim.post("pos/deliveries", json!({})).await?;
    ensure!(
        states(&kim.get(&sale).await?) == ["Dismissed", "Done"] && states(&kim.put(&refund, back).await?) == ["Done"]
    );
    ensure!(balance(&kim, "1000").await? == "5.35" && balance(&kim, "4000").await? == "-5.00");
    ensure!(ada.get("pos/deliveries/refused").await? == json!([]));
    Ok(())
}

#[tokio::test]
async fn what_is_given_back_in_parts_is_worth_what_went_out_and_leaves_no_points() -> anyhow::Result<()> {
    let (company, shift) = shop("parts").await?;
    let kim = cashier(&company)?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    for cost in ["1.00", "1.01"] {
        let bolts = json!({ "lines": [{ "sku": "BOLT", "quantity": "5000", "unitCost": cost }] });
        manager.post("inventory/receipts", bolts).await?;
    }
    book_goods(&company, "10050.00").await?;
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    let sold = json!({ "shiftId": shift, "payment": "Cash", "loyaltyCard": "77", "lines": [
        { "sku": "BOLT", "description": "Bolts", "quantity": "10000", "unitPrice": "2.00" },
        { "description": "Bag", "quantity": "3", "unitPrice": "0.90" },
    ] });
    kim.put(&sale, sold).await?;
    ensure!(in_stock(&kim, "BOLT").await? == ("0".to_owned(), "0.00".to_owned()));
    ensure!(balance(&kim, "5000").await? == "10050.00");
    let points = async || anyhow::Ok(kim.get("pos/loyalty/77").await?["points"].as_i64());
    ensure!(points().await? == Some(20_002));
    for (bolts, left) in [("3333", 13_335), ("3333", 6_668), ("3334", 0)] {
        let back = json!({ "shiftId": shift, "lines": [
            { "position": 1, "quantity": bolts }, { "position": 2, "quantity": "1" },
        ] });
        let refunded = kim.put(&format!("{sale}/refunds/{}", Uuid::now_v7()), back).await?;
        ensure!(states(&refunded) == ["Done"; 3], "{refunded}");
        ensure!(points().await? == Some(left), "{:?} points, not {left}", points().await?);
        books_agree_with_stock(&kim).await?;
    }
    ensure!(in_stock(&kim, "BOLT").await? == ("10000".to_owned(), "10050.00".to_owned()));
    ensure!(balance(&kim, "5000").await? == "0.00" && balance(&kim, "1000").await? == "0.00");
    Ok(())
}

#[tokio::test]
async fn finance_without_a_ledger_is_told_nothing_and_hears_no_refund_of_what_it_was_not_told() -> anyhow::Result<()> {
    let mut bought = everything();
    for one in bought["entitlements"].as_array_mut().context("entitlements")? {
        if one["service"] == "finance" {
            one["modules"] = json!(["invoicing"]);
        }
    }
    let company = TestTenant::create(&Platform::start().await?, "no-ledger", bought).await?;
    let shift = open(&company).await?;
    let kim = cashier(&company)?;
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    let sold = kim.put(&sale, bread(&shift, "2")).await?;
    ensure!(states(&sold) == ["Done"] && sold["deliveries"][0]["service"] == "inventory", "{sold}");
    ensure!(kim.get("pos/deliveries/pending").await? == json!([]), "something waits for ever");

    company.change(everything()).await?;
    let back = json!({ "shiftId": shift, "lines": [{ "position": 1, "quantity": "1" }] });
    let refunded = kim.put(&format!("{sale}/refunds/{}", Uuid::now_v7()), back).await?;
    ensure!(states(&refunded) == ["Done"] && refunded["deliveries"][0]["service"] == "inventory", "{refunded}");
    ensure!(kim.get("finance/trial-balance").await? == json!([]), "Finance heard of a refund alone");
    // From then on it is told.
    let sold = kim.put(&format!("pos/sales/{}", Uuid::now_v7()), bread(&shift, "1")).await?;
    ensure!(states(&sold) == ["Done"; 3] && balance(&kim, "1000").await? == "5.35", "{sold}");
    Ok(())
}

#[tokio::test]
async fn finance_hears_of_a_refund_after_the_sale() -> anyhow::Result<()> {
    let (company, shift) = shop("order").await?;
    let kim = cashier(&company)?;
    let mara = Person::new(&company, "mara", &["finance-manager"])?;
    let ada = Person::new(&company, "ada", &["tenant-admin"])?;
    let account = |closed: bool| json!({ "name": "Tax to be paid", "kind": "Liability", "closed": closed });
    mara.put("finance/accounts/2100", account(true)).await?;
    let sale = format!("pos/sales/{}", Uuid::now_v7());
    let sold = kim.put(&sale, bread(&shift, "1")).await?;
    ensure!(states(&sold) == ["Done", "Refused", "Pending"], "{sold}");
    let back = json!({ "shiftId": shift, "lines": [{ "position": 1, "quantity": "1" }] });
    let refund = format!("{sale}/refunds/{}", Uuid::now_v7());
    let refunded = kim.put(&refund, back.clone()).await?;
    ensure!(states(&refunded) == ["Done", "Pending", "Pending"], "{refunded}");

    mara.put("finance/accounts/2100", account(false)).await?;
    kim.post("pos/deliveries", json!({})).await?;
    ensure!(states(&kim.put(&refund, back.clone()).await?) == ["Done", "Pending", "Pending"], "told before its sale");
    let refused = sold["deliveries"][1]["id"].as_str().context("no id")?;
    ada.post(&format!("pos/deliveries/{refused}/retry"), json!({})).await?;
    kim.post("pos/deliveries", json!({})).await?;
    ensure!(states(&kim.get(&sale).await?) == ["Done"; 3] && states(&kim.put(&refund, back).await?) == ["Done"; 3]);
    ensure!(balance(&kim, "1000").await? == "0.00" && balance(&kim, "5000").await? == "0.00");
    books_agree_with_stock(&kim).await?;
    Ok(())
}

#[tokio::test]
async fn a_shift_is_not_closed_before_it_is_known_what_was_sold_in_it() -> anyhow::Result<()> {
    let (company, shift) = shop("closing").await?;
    let kim = cashier(&company)?;
    kim.put(&format!("pos/sales/{}", Uuid::now_v7()), bread(&shift, "1")).await?;
    // Sales that Inventory has refused, of a register that had lost its patience before.
    let schema = company.role();
    let lost = format!(
        "WITH lost AS (INSERT INTO {schema}.sale (id, shift_id, currency, payment, fingerprint)
             SELECT gen_random_uuid(), '{shift}', 'EUR', 'Cash', 'x' FROM generate_series(1, 130) RETURNING id),
         line AS (INSERT INTO {schema}.sale_line (sale_id, position, description, quantity, unit_price)
             SELECT id, 1, 'Bread', 1, 1 FROM lost)
         INSERT INTO {schema}.delivery (id, subject, service, path, body, state, detail)
             SELECT gen_random_uuid(), id, 'inventory', '/issues', '{{}}', 'Refused', 'there is none' FROM lost"
    );
    company.platform.sql("pos", &lost).await?;
    let path = format!("pos/shifts/{shift}");
    ensure!(kim.get(&path).await?["expected"] == "185.35", "the sales are not there");
    let closed = until("the shift is closed", Duration::from_mins(1), || async {
        let counted = json!({ "counted": "55.35" });
        let answer = kim.ask(Method::POST, &format!("{path}/closing"), Some(counted), None).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body)
    })
    .await;
    ensure!(closed["expected"] == "55.35", "what nobody has paid is expected: {closed}");
    Ok(())
}

#[tokio::test]
async fn a_receipt_is_printed_in_the_companys_words() -> anyhow::Result<()> {
    let (company, shift) = shop("receipt").await?;
    let kim = cashier(&company)?;
    let administrator = Person::new(&company, "ada", &["tenant-admin"])?;
    let template = json!({ "receipt": { "header": ["AURORA BAKERY"], "footer": ["Thank you!"], "width": 32 } });
    administrator.put("tenant-service/settings/pos", template).await?;
    let id = Uuid::now_v7();
    let mut sold = bread(&shift, "2");
    sold["loyaltyCard"] = json!("1234");
    kim.put(&format!("pos/sales/{id}"), sold).await?;
    ensure!(kim.get("pos/loyalty/1234").await?["points"] == 10);
    until("the template has reached the service", Duration::from_secs(2), || async {
        let request = company.platform.request("pos", Method::GET, &format!("/sales/{id}/receipt")).await?;
        let text = request.bearer_auth(&kim.token).send().await?.error_for_status()?.text().await?;
        ensure!(text.starts_with("AURORA BAKERY\n") && text.contains("Total EUR                  10.70"), "{text}");
        ensure!(text.contains("Thank you!") && text.contains(" UTC\n"), "{text}");
        ensure!(
            text.lines().all(|line| line.len() <= 32) && text.replace('\n', "").ends_with(&id.to_string()),
            "{text}"
        );
        Ok(())
    })
    .await;
    Ok(())
}
