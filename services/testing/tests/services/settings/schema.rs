//! Each service declares what its settings can be.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_testing::{Answer, Platform, tokens, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Company, theme};

#[tokio::test]
async fn what_does_not_fit_is_refused_with_where_and_why() -> anyhow::Result<()> {
    let company = Company::create("refused").await?;
    for (service, value, pointer, why) in [
        (
            "crm",
            json!({ "customFields": { "contact": [{ "name": "a" }] } }),
            "/customFields/contact/0/type",
            "is required",
        ),
        (
            "crm",
            json!({ "customFields": { "deal": [{ "name": "a", "type": "Text" }, { "name": "a", "type": "Number" }] } }),
            "/customFields/deal/1/name",
            "another one",
        ),
        ("crm", json!({ "fields": [] }), "/fields", "there is no such setting"),
        ("procurement", json!({ "approvals": [{ "role": "The CFO" }] }), "/approvals/0/role", "procurement-approver"),
        ("pos", json!({ "receipt": { "width": 500 } }), "/receipt/width", "120"),
        ("ui", json!({ "theme": { "accent": "red" } }), "/theme/accent", "#0a5c8f"),
    ] {
        let refused = company.ask(Method::PUT, &format!("/{service}"), Some(value), None).await?;
        ensure!((refused.status, refused.code()) == (422, "invalid"), "{service}: {refused:?}");
        let errors = refused.body["errors"].as_array().context("no errors")?;
        ensure!(errors.len() == 1 && errors[0]["pointer"] == pointer, "{service}: {refused:?}");
        ensure!(errors[0]["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{service}: {refused:?}");
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(service) && detail.contains(pointer), "{service}: {refused:?}");
    }
    let many: Vec<_> = (0..50).map(|_| json!({ "name": "-", "type": "Colour" })).collect();
    let refused = company.ask(Method::PUT, "/crm", Some(json!({ "customFields": { "deal": many } })), None).await?;
    ensure!(refused.body["errors"].as_array().map(Vec::len) == Some(20), "{refused:?}");

    ensure!(company.get("").await? == json!([]), "something of it was kept");
    let untouched = company.get("/crm").await?;
    ensure!(untouched["version"] == 0 && untouched["value"] == json!({}), "{untouched}");
    ensure!(company.get("/crm/versions").await?["items"] == json!([]), "a refusal made a version");
    Ok(())
}

#[tokio::test]
async fn a_service_declares_its_settings_and_so_does_tenant_service_for_it() -> anyhow::Result<()> {
    let company = Company::create("declared").await?;
    for service in ["crm", "pos", "procurement"] {
        let request = company.tenant.platform.request(service, Method::GET, "/settings-schema").await?;
        let own = Answer::of(request).await?;
        ensure!(own.status == 200 && own.headers["content-type"] == "application/schema+json", "{own:?}");
        ensure!(own.body["$schema"] == "https://json-schema.org/draft/2020-12/schema", "{own:?}");
        ensure!(company.get(&format!("/{service}/schema")).await? == own.body, "{service}: another schema");
    }
    let request = company.tenant.platform.request("finance", Method::GET, "/settings-schema").await?;
    let nothing = Answer::of(request).await?.body;
    ensure!(nothing["additionalProperties"] == false && nothing["properties"].is_null(), "{nothing}");
    Ok(())
}

#[tokio::test]
async fn settings_are_for_administrators_and_for_what_the_tenant_is_entitled_to() -> anyhow::Result<()> {
    let company = Company::create("rights").await?;
    let clerk = tokens::token(&company.tenant.name, &["pos-manager"])?;
    let ask = async |token: &str, method: Method, path: &str, body: Option<Value>| {
        company.tenant.platform.ask("tenant-service", method, &format!("/settings{path}"), token, body).await
    };
    let back = || Some(json!({ "version": 1 }));
    for (method, path, body) in [
        (Method::PUT, "/pos", Some(json!({}))),
        (Method::DELETE, "/pos", None),
        (Method::GET, "/pos/versions", None),
        (Method::GET, "/pos/versions/1", None),
        (Method::POST, "/pos/rollback", back()),
    ] {
        let refused = ask(&clerk, method, path, body).await?;
        ensure!((refused.status, refused.code()) == (403, "role-required"), "{path}: {refused:?}");
    }
    for (method, path, body) in [
        (Method::GET, "/finance", None),
        (Method::GET, "/finance/schema", None),
        (Method::GET, "/finance/versions", None),
        (Method::PUT, "/finance", Some(json!({}))),
        (Method::POST, "/finance/rollback", back()),
        (Method::PUT, "/nonsense", Some(json!({}))),
    ] {
        let refused = ask(&company.administrator, method, path, body).await?;
        ensure!((refused.status, refused.code()) == (403, "not-entitled"), "{path}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_reaches_its_service_within_a_second_and_no_other_tenant() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let (company, other) =
        tokio::try_join!(Company::create_on(&platform, "reach"), Company::create_on(&platform, "reach-other"))?;
    other.set("ui", theme("light")).await?;
    let buyer = tokens::token(&company.tenant.name, &["procurement-requester"])?;
    let approvals = async |token: &str| -> anyhow::Result<usize> {
        let wanted = json!({ "title": "Bolts", "currency": "EUR",
            "lines": [{ "description": "Bolt", "quantity": "1", "unitPrice": "5.00" }] });
        let asked = platform.ask("procurement", Method::POST, "/requisitions", token, Some(wanted)).await?;
        let path = format!("/requisitions/{}/submission", asked.body["id"].as_str().context("no id")?);
        let submitted = platform.ask("procurement", Method::POST, &path, token, Some(json!({}))).await?;
        Ok(submitted.body["approvals"].as_array().context("no approvals")?.len())
    };
    ensure!(approvals(&buyer).await? == 1);
    let steps = json!([{ "role": "procurement-approver" }, { "role": "procurement-director" }]);
    company.set("procurement", json!({ "approvals": steps })).await?;
    let written = Instant::now();
    until("the workflow has reached Procurement", Duration::from_secs(5), || async {
        ensure!(approvals(&buyer).await? == 2);
        Ok(())
    })
    .await;
    let took = written.elapsed();
    println!("in force {took:?} after the answer");
    ensure!(took < Duration::from_secs(1), "in force only after {took:?}");

    let stranger = tokens::token(&other.tenant.name, &["procurement-requester"])?;
    ensure!(approvals(&stranger).await? == 1, "another tenant's workflow");
    let others = other.get("").await?;
    ensure!(others.as_array().map(Vec::len) == Some(1) && others[0]["value"] == theme("light"), "{others}");
    Ok(())
}

#[tokio::test]
async fn a_receipt_is_previewed_by_settings_that_nobody_has_made() -> anyhow::Result<()> {
    let company = Company::create("preview").await?;
    let preview = async |token: &str, settings: Value| -> anyhow::Result<(u16, String)> {
        let request = company.tenant.platform.request("pos", Method::POST, "/receipts/preview").await?;
        let response = request.bearer_auth(token).json(&settings).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    };
    let template = || json!({ "receipt": { "header": ["AURORA"], "width": 30, "showTax": false } });
    let manager = tokens::token(&company.tenant.name, &["pos-manager"])?;
    for token in [&company.administrator, &manager] {
        let (status, text) = preview(token, template()).await?;
        ensure!(status == 200 && text.starts_with("AURORA\n"), "{status} {text}");
        ensure!(text.contains(&"-".repeat(30)) && !text.contains("including tax"), "{text}");
    }
    let (status, text) = preview(&company.administrator, json!({ "receipt": { "width": 3 } })).await?;
    ensure!(status == 422 && text.contains("width"), "{status} {text}");
    for role in ["pos-cashier", "crm-user"] {
        let (status, text) = preview(&tokens::token(&company.tenant.name, &[role])?, template()).await?;
        ensure!(status == 403 && text.contains("role-required"), "{role}: {status} {text}");
    }
    // An administrator who does not sell sees nothing of what is sold.
    let request = company.tenant.platform.request("pos", Method::GET, "/sales").await?;
    let refused = Answer::of(request.bearer_auth(&company.administrator)).await?;
    ensure!((refused.status, refused.code()) == (403, "role-required"), "{refused:?}");
    Ok(())
}
