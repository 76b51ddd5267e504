//! Point of sale: a sale happens once, takes what is there, and is told to the others sooner or later.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{signals, tenant::TestTenant, wait::until};
use futures::future::try_join_all;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Person, balance, books_balance, company, in_stock};

/// A shop with ten loaves that cost 2.00 each, and an open shift.
async fn shop(what: &str) -> anyhow::Result<(TestTenant, String)> {
    let company = company(what).await?;
    let manager = Person::new(&company, "ines", &["inventory-manager", "stock-mover", "pos-manager", "pos-cashier"])?;
    manager.post("inventory/items", json!({ "sku": "BREAD", "name": "Bread" })).await?;
    let bread = json!({ "lines": [{ "sku": "BREAD", "quantity": "10", "unitCost": "2.00" }] });
    manager.post("inventory/receipts", bread).await?;
    manager.put("pos/registers/FRONT", json!({ "name": "Front", "currency": "EUR" })).await?;
    let shift = manager.post("pos/shifts", json!({ "register": "FRONT", "float": "50.00" })).await?;
    let shift = shift["id"].as_str().context("no id")?.to_owned();
    Ok((company, shift))
}

fn cashier(company: &TestTenant) -> anyhow::Result<Person<'_>> {
    Person::new(company, "kim", &["pos-cashier", "pos-manager", "stock-mover", "ledger-poster"])
}

fn bread(shift: &str, quantity: &str) -> Value {
    json!({ "shiftId": shift, "payment": "Cash", "lines": [
        { "sku": "BREAD", "description": "Bread", "quantity": quantity, "unitPrice": "5.35", "taxRate": "7" },
    ] })
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
        [("1000", "10.70"), ("4000", "-10.00"), ("2100", "-0.70"), ("5000", "4.00"), ("1200", "-4.00")]
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
    books_balance(&kim).await?;

    let closed = kim.post(&format!("pos/shifts/{shift}/closing"), json!({ "counted": "55.00" })).await?;
    ensure!(closed["expected"] == "55.35" && closed["counted"] == "55.00", "{closed}");
    kim.refused(Method::PUT, &format!("pos/sales/{}", Uuid::now_v7()), bread(&shift, "1"), 409, "shift is closed")
        .await?;
    company.erase().await
}

#[tokio::test]
async fn a_shop_goes_on_selling_while_inventory_is_frozen_and_tells_it_later() -> anyhow::Result<()> {
    let (company, shift) = shop("frozen").await?;
    let kim = cashier(&company)?;
    let cluster = &company.platform.cluster;
    let selector = "app.kubernetes.io/name=inventory,app.kubernetes.io/component=service";
    let pods = cluster.pods(&company.platform.namespace(), selector).await?;
    let pod = pods.first().context("no pod of inventory")?;
    println!("freezing {}", pod.name_any());
    signals::send(cluster, pod, "STOP").await?;
    let path = format!("pos/sales/{}", Uuid::now_v7());
    let sold = kim.put(&path, bread(&shift, "1")).await;
    signals::send(cluster, pod, "CONT").await?;
    let sold = sold?;
    // The ledger waits for what comes before.
    ensure!(states(&sold) == ["Pending"; 2], "{sold}");
    until("what was pending is told", Duration::from_mins(1), || async {
        kim.post("pos/deliveries", json!({})).await?;
        let sale = kim.get(&path).await?;
        ensure!(states(&sale) == ["Done"; 3], "{sale}");
        Ok(())
    })
    .await;
    ensure!(in_stock(&kim, "BREAD").await?.0 == "9");
    ensure!(balance(&kim, "1000").await? == "5.35" && balance(&kim, "5000").await? == "2.00");
    company.erase().await
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
        ensure!(text.contains("Thank you!") && text.contains(&id.to_string()), "{text}");
        Ok(())
    })
    .await;
    company.erase().await
}
