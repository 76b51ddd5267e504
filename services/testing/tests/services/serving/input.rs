//! Input that is not acceptable: refused with a problem document that names the field as the API calls it.

use anyhow::ensure;
use easycode_testing::{Answer, Platform, TestTenant};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Checks that the request is refused by a problem document with the status, which names the field.
async fn refused(request: RequestBuilder, status: u16, field: &str) -> anyhow::Result<()> {
    let answer = Answer::of(request).await?;
    ensure!(answer.status == status, "{answer:?}");
    let content_type = answer.headers.get("content-type").map(String::as_str);
    ensure!(content_type == Some("application/problem+json"), "{answer:?}");
    let problem = &answer.body;
    let type_ = format!("urn:easycode:problem:{}", answer.code());
    ensure!(!answer.code().is_empty() && problem["type"] == type_ && problem["status"] == status, "{problem}");
    ensure!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains(field), "{detail:?} does not name {field}");
    Ok(())
}

#[tokio::test]
async fn a_value_that_is_not_acceptable_is_refused_by_its_field() -> anyhow::Result<()> {
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let tenant = TestTenant::create(&Platform::start().await?, "input", entitled).await?;
    let long = "x".repeat(300);
    let cases: [(&str, Value, &str); 30] = [
        ("/companies", json!({}), "name"),
        ("/companies", json!({ "name": "" }), "name"),
        ("/companies", json!({ "name": long }), "name"),
        ("/companies", json!({ "name": 7 }), "name"),
        ("/companies", json!({ "name": "x\u{0}y" }), "name"),
        ("/companies", json!({ "name": "x", "domain": "" }), "domain"),
        ("/companies", json!({ "name": "x", "custom": [] }), "custom"),
        ("/companies", json!({ "name": "x", "custom": { "a": "\u{0}" } }), "custom"),
        ("/companies", json!({ "name": "x", "custom": { "a": f64::MAX } }), "custom.a"),
        ("/contacts", json!({}), "familyName"),
        ("/contacts", json!({ "familyName": "" }), "familyName"),
        ("/contacts", json!({ "familyName": "x", "givenName": long }), "givenName"),
        ("/contacts", json!({ "familyName": "x", "email": "no address" }), "email"),
        ("/contacts", json!({ "familyName": "x", "phone": long }), "phone"),
        ("/contacts", json!({ "familyName": "x", "companyId": "7" }), "companyId"),
        ("/contacts", json!({ "familyName": "x", "nickname": "y" }), "nickname"),
        ("/deals", json!({ "title": "" }), "title"),
        ("/deals", json!({ "title": "x", "amount": "12" }), "currency"),
        ("/deals", json!({ "title": "x", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "12", "currency": "euro" }), "currency"),
        ("/deals", json!({ "title": "x", "amount": "12", "currency": "eur" }), "currency"),
        ("/deals", json!({ "title": "x", "amount": 12, "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "twelve", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "-0.01", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "NaN", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "Infinity", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "99999999999999999", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "amount": "0.005", "currency": "EUR" }), "amount"),
        ("/deals", json!({ "title": "x", "stage": "Nowhere" }), "stage"),
        ("/campaigns", json!({ "name": "" }), "name"),
    ];
    let mut wrong = Vec::new();
    for (path, body, field) in cases {
        let request = tenant.request("crm", Method::POST, path).await?.json(&body);
        wrong.extend(refused(request, 422, field).await.err().map(|error| format!("{path} {body}: {error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    for kind in ["companies", "contacts", "deals", "campaigns"] {
        let stored = tenant.read(&format!("/{kind}")).await?.body;
        let stored = if kind == "campaigns" { &stored } else { &stored["items"] };
        ensure!(*stored == json!([]), "something was stored all the same: {stored}");
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_contradicts_what_is_there_is_refused_by_its_field() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "contradict", json!({})).await?;
    let taken = json!({ "familyName": "x", "email": "a@x.example" });
    ensure!(tenant.ask("crm", Method::POST, "/contacts", Some(taken)).await?.status == 201);
    let nobody = uuid::Uuid::now_v7();
    for (path, body, status, field) in [
        ("/contacts", json!({ "familyName": "y", "email": "A@X.example" }), 409, "email"),
        ("/contacts", json!({ "familyName": "y", "companyId": nobody }), 422, "companyId"),
        ("/deals", json!({ "title": "y", "companyId": nobody }), 422, "companyId"),
        ("/deals", json!({ "title": "y", "contactId": nobody }), 422, "contactId"),
    ] {
        refused(tenant.request("crm", Method::POST, path).await?.json(&body), status, field).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_malformed_is_refused_by_a_problem_document() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&Platform::start().await?, "malformed", json!({})).await?;
    let get = async |path: &str| tenant.request("crm", Method::GET, path).await;
    refused(get("/contacts?limit=0").await?, 422, "limit").await?;
    refused(get("/contacts?limit=101").await?, 422, "limit").await?;
    refused(get("/contacts?limit=many").await?, 422, "limit").await?;
    refused(get("/contacts?cursor=AAAA").await?, 422, "cursor").await?;
    refused(get("/search").await?, 422, "q").await?;
    refused(get("/search?q=%20%2B").await?, 422, "q").await?;
    refused(get("/contacts/7").await?, 404, "").await?;
    refused(get("/nothing").await?, 404, "").await?;

    let post = async || tenant.request("crm", Method::POST, "/contacts").await;
    refused(post().await?.header("Content-Type", "application/json").body("{\"familyName\":"), 400, "JSON").await?;
    refused(post().await?.header("Content-Type", "text/plain").body("{}"), 415, "application/json").await?;
    let large = json!({ "familyName": "x".repeat(2 << 20) });
    refused(post().await?.json(&large), 413, "").await?;
    refused(tenant.request("crm", Method::PATCH, "/contacts").await?, 405, "").await?;
    let unknown = tenant.platform.request("crm", Method::GET, "/contacts").await?;
    refused(unknown, 401, "Authorization").await?;
    Ok(())
}
