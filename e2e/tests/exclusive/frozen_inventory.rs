//! Point of sale while Inventory is frozen, for all companies of the platform.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{
    business::{
        Person, balance, books_agree_with_stock, everything_but, in_stock,
        shop::{bread, cashier, shop, states},
    },
    signals,
    tenant::TestTenant,
    wait::until,
};
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Does something while Inventory is frozen.
async fn with_inventory_frozen<T>(
    company: &TestTenant,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let cluster = &company.platform.cluster;
    let selector = "app.kubernetes.io/name=inventory,app.kubernetes.io/component=service";
    let pods = cluster.pods(&company.platform.namespace(), selector).await?;
    let pod = pods.first().context("no pod of inventory")?;
    println!("freezing {}", pod.name_any());
    signals::send(cluster, pod, "STOP").await?;
    let done = work.await;
    signals::send(cluster, pod, "CONT").await?;
    done
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
    company.erase().await
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
    company.ready().await;
    // No context is older than a second.
    tokio::time::sleep(Duration::from_secs(1)).await;

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
    company.erase().await
}
