//! Inventory: never less than nothing, first in first out, and what is kept back stays.

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Person, company, in_stock};

fn bolts(quantity: &str) -> Value {
    json!({ "lines": [{ "sku": "BOLT", "quantity": quantity }] })
}

fn delivered(quantity: &str, cost: &str) -> Value {
    json!({ "lines": [{ "sku": "BOLT", "quantity": quantity, "unitCost": cost }] })
}

#[tokio::test]
async fn stock_never_falls_below_nothing_however_many_take_of_it_at_once() -> anyhow::Result<()> {
    let company = company("stock").await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    manager.refused(Method::POST, "inventory/issues", bolts("1"), 409, "only 0 can be taken").await?;
    manager.post("inventory/receipts", delivered("10", "1.50")).await?;
    let takers = (0..20).map(|_| manager.ask(Method::POST, "inventory/issues", Some(bolts("1")), None));
    let answers = try_join_all(takers).await?;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // Who waited too long for the lock was told to try again, and took nothing.
    let (taken, busy) = (count(201), count(503) + count(429));
    ensure!(
        taken > 0 && taken <= 10 && taken + busy + count(409) == 20,
        "{taken} taken, {busy} busy, {} refused",
        count(409)
    );
    ensure!(in_stock(&manager, "BOLT").await?.0 == (10 - taken).to_string(), "{:?}", in_stock(&manager, "BOLT").await?);
    // Nor does the database let it, whoever asks.
    let statement = format!("UPDATE {}.stock SET quantity = -1", company.role());
    let refused = company.platform.sql("inventory", &statement).await.err().map(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_some_and(|text| text.contains("stock_quantity_check")), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_goes_out_is_worth_what_came_in_first() -> anyhow::Result<()> {
    let company = company("fifo").await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    let item = manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    for (quantity, cost) in [("10", "1.00"), ("10", "2.00"), ("5", "3.00")] {
        manager.post("inventory/receipts", delivered(quantity, cost)).await?;
    }
    ensure!(in_stock(&manager, "BOLT").await? == ("25".to_owned(), "45.00".to_owned()));
    let issued = manager.post("inventory/issues", bolts("12.5")).await?;
    ensure!(issued["cost"] == "-15.00", "{issued}");
    // The same request takes once.
    for status in [201, 200] {
        let answer = manager.ask(Method::POST, "inventory/issues", Some(bolts("1")), Some("once")).await?;
        ensure!((answer.status, &answer.body["cost"]) == (status, &json!("-2.00")), "{answer:?}");
    }
    ensure!(in_stock(&manager, "BOLT").await? == ("11.5".to_owned(), "28.00".to_owned()));

    manager.put("inventory/warehouses/NORTH", json!({ "name": "North" })).await?;
    let transfer = json!({ "from": "MAIN", "to": "NORTH", "lines": [{ "sku": "BOLT", "quantity": "7" }] });
    manager.post("inventory/transfers", transfer).await?;
    let stock = manager.get("inventory/stock").await?;
    let values: Vec<_> = stock["items"].as_array().into_iter().flatten().map(|one| one["value"].clone()).collect();
    // The same, a record a page.
    let first = manager.get("inventory/stock?limit=1").await?;
    let next = first["next"].as_str().context("there is no second page")?;
    let second = manager.get(&format!("inventory/stock?limit=1&cursor={next}")).await?;
    let paged: Vec<_> = [&first, &second].iter().map(|page| page["items"][0].clone()).collect();
    ensure!(json!(paged) == stock["items"] && second["next"].is_null(), "{first} {second}");
    manager.refused(Method::GET, "inventory/stock?cursor=WyJCT0xUIl0", json!(null), 422, "next of the page").await?;
    // 6.5 at 2.00 and half of one at 3.00 went north.
    ensure!(values == [json!("13.50"), json!("14.50")], "{stock}");

    let counted = json!({ "sku": "BOLT", "counted": "4" });
    let corrected = manager.post("inventory/counts", counted.clone()).await?;
    ensure!(corrected["lines"][0]["quantity"] == "-0.5" && corrected["cost"] == "-1.50", "{corrected}");
    manager.refused(Method::POST, "inventory/counts", counted, 409, "nothing is to be corrected").await?;

    // Where it is allowed, what is not there yet counts at what it cost last, and is settled by what comes.
    let path = format!("inventory/items/{}", item["id"].as_str().unwrap_or_default());
    manager.put(&path, json!({ "sku": "BOLT", "name": "Bolt", "allowNegative": true })).await?;
    manager.post("inventory/issues", bolts("6")).await?;
    ensure!(in_stock(&manager, "BOLT").await? == ("-2".to_owned(), "-6.00".to_owned()));
    let strict = json!({ "sku": "BOLT", "name": "Bolt" });
    manager.refused(Method::PUT, &path, strict.clone(), 409, "less than nothing").await?;
    let settled = manager.post("inventory/receipts", delivered("5", "4.00")).await?;
    ensure!((&settled["cost"], &settled["variance"]) == (&json!("20.00"), &json!("2.00")), "{settled}");
    ensure!(in_stock(&manager, "BOLT").await? == ("3".to_owned(), "12.00".to_owned()));
    manager.put(&path, strict).await?;
    // Nor does the database let a shortfall be worth something of which nothing is missing.
    let statement = format!("UPDATE {}.stock SET short_value = 1", company.role());
    let refused = company.platform.sql("inventory", &statement).await.err().map(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_some_and(|text| text.contains("stock_short_value_check")), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_goes_out_in_parts_is_worth_what_came_in_to_the_cent() -> anyhow::Result<()> {
    let company = company("cents").await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    let three = json!({ "lines": [{ "sku": "BOLT", "quantity": "3", "cost": "10.00" }] });
    manager.post("inventory/receipts", three).await?;
    for (cost, left) in [("-3.33", "6.67"), ("-3.33", "3.34"), ("-3.34", "0.00")] {
        let issued = manager.post("inventory/issues", bolts("1")).await?;
        ensure!(issued["cost"] == cost && in_stock(&manager, "BOLT").await?.1 == left, "{issued}");
    }
    let both = json!({ "lines": [{ "sku": "BOLT", "quantity": "3", "cost": "10.00", "unitCost": "3.33" }] });
    manager.refused(Method::POST, "inventory/receipts", both, 422, "either unitCost or cost").await?;
    Ok(())
}

#[tokio::test]
async fn the_costs_of_an_item_are_in_one_currency() -> anyhow::Result<()> {
    let company = company("currency").await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    let of = |currency: &str| json!({ "currency": currency, "lines": [{ "sku": "BOLT", "quantity": "1", "unitCost": "2.00" }] });
    let first = manager.post("inventory/receipts", of("CHF")).await?;
    ensure!(first["lines"][0]["currency"] == "CHF", "{first}");
    manager.refused(Method::POST, "inventory/receipts", of("USD"), 409, "are in CHF").await?;
    // Without one it is the item's.
    manager.post("inventory/receipts", delivered("1", "3.00")).await?;
    let stock = manager.get("inventory/stock").await?;
    ensure!(stock["items"][0]["currency"] == "CHF" && stock["items"][0]["value"] == "5.00", "{stock}");
    ensure!(manager.get("inventory/items").await?["items"][0]["currency"] == "CHF");
    Ok(())
}

#[tokio::test]
async fn what_is_kept_back_goes_to_whom_it_is_kept_for() -> anyhow::Result<()> {
    let company = company("reserve").await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover"])?;
    let nobody = Person::new(&company, "nora", &[])?;
    nobody
        .refused(Method::POST, "inventory/reservations", json!({ "sku": "BOLT", "quantity": "1" }), 403, "stock-mover")
        .await?;
    manager.post("inventory/items", json!({ "sku": "BOLT", "name": "Bolt" })).await?;
    let lots = json!({ "lines": [{ "sku": "BOLT", "quantity": "4", "unitCost": "1", "lot": "A" },
        { "sku": "BOLT", "quantity": "4", "unitCost": "2", "lot": "B" }] });
    manager.post("inventory/receipts", lots).await?;
    let kept = manager
        .post("inventory/reservations", json!({ "sku": "BOLT", "quantity": "5", "reference": "order 7" }))
        .await?;
    manager
        .refused(Method::POST, "inventory/reservations", json!({ "sku": "BOLT", "quantity": "4" }), 409, "less than 4")
        .await?;
    manager.refused(Method::POST, "inventory/issues", bolts("4"), 409, "only 3 can be taken").await?;
    let of_lot = json!({ "lines": [{ "sku": "BOLT", "quantity": "2", "lot": "B" }] });
    ensure!(manager.post("inventory/issues", of_lot).await?["cost"] == "-4.00");
    let used = json!({ "lines": [{ "sku": "BOLT", "quantity": "5" }], "reservation": kept["id"] });
    ensure!(manager.post("inventory/issues", used.clone()).await?["cost"] == "-6.00");
    manager.refused(Method::POST, "inventory/issues", used, 404, "no such reservation").await?;
    ensure!(manager.get("inventory/reservations").await?["items"] == json!([]));
    Ok(())
}
