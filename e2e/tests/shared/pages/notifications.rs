//! What people are told on their own page.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{
    people::{ADMINISTRATOR, PASSWORD, Person, address},
    wait::until,
};
use reqwest::Method;
use serde_json::json;

use super::{browser::Browser, company};

#[tokio::test]
async fn one_is_told_what_waits_for_ones_approval_and_what_concerns_ones_account() -> anyhow::Result<()> {
    let (tenant, mut browser) = company("pages-told").await?;
    let ada = Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await?;
    let rita = ada.add("rita", &[("procurement", "procurement-requester")]).await?;
    let abel = ada.add("abel", &[("procurement", "procurement-approver")]).await?;
    let mut his = Browser::open(&tenant.platform).await?;
    his.sign_in(&tenant.name, &address("abel"), PASSWORD).await?;
    ensure!(!his.look("/user/").await?.contains("Notifications"), "there is nothing to tell of");

    let wanted = json!({ "title": "Cloth <b>", "currency": "EUR",
        "lines": [{ "description": "Cloth", "quantity": "2", "unitPrice": "3.50" }] });
    let asked = rita.ask("procurement", Method::POST, "/requisitions", Some(wanted)).await?;
    let submission = format!("/requisitions/{}/submission", asked.body["id"].as_str().context("no id")?);
    let submitted = rita.ask("procurement", Method::POST, &submission, None).await?;
    ensure!(submitted.status == 200, "{submitted:?}");
    let told = his.look("/user/").await?;
    ensure!(told.contains("Waits for your approval: <strong>Cloth &lt;b&gt;</strong>, 7.00 EUR"), "{told}");
    ensure!(!browser.look("/user/").await?.contains("Waits for your approval"), "it does not wait for Ada");

    let changed = ada.change(&abel.id()?, "Active", &[("procurement", "procurement-approver")]).await?;
    ensure!(changed.status == 200, "{changed:?}");
    let told = his.look("/user/").await?;
    ensure!(told.contains("an administrator changed your name, state or roles"), "{told}");

    let nothing = json!({ "notifications": { "approvals": false, "security": false } });
    let set = ada.ask("tenant-service", Method::PUT, "/settings/ui", Some(nothing)).await?;
    ensure!(set.status == 200, "{set:?}");
    until("nothing is told any more", Duration::from_secs(10), || {
        let mut his = his.clone();
        async move {
            ensure!(!his.look("/user/").await?.contains("Notifications"), "it is still told");
            Ok(())
        }
    })
    .await;
    tenant.erase().await
}
