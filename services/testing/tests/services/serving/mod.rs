//! What a ready platform serves: the examples as they are described, and the API as it is documented.

mod context;
mod input;
mod limits;
mod storage;
mod unfinished;

use anyhow::{Context, ensure};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_testing::{Answer, Platform, TestTenant, tokens};
use reqwest::Method;
use serde_json::json;

const SERVICES: [&str; 7] = ["crm", "finance", "inventory", "pos", "procurement", TENANT_SERVICE, USER_SERVICE];

/// One of the example tenants.
async fn example(name: &str) -> anyhow::Result<TestTenant> {
    TestTenant::example(&Platform::start().await?, name).await
}

#[tokio::test]
async fn aurora_is_served_crm_with_campaigns() -> anyhow::Result<()> {
    let aurora = example("aurora").await?;
    for path in ["/companies", "/contacts", "/deals", "/campaigns", "/search?q=x"] {
        let answer = aurora.read(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn borealis_is_served_crm_and_refused_the_module_it_lacks() -> anyhow::Result<()> {
    let borealis = example("borealis").await?;
    ensure!(borealis.read("/contacts").await?.status == 200);
    let refused = borealis.read("/campaigns").await?;
    ensure!((refused.status, refused.code()) == (403, "module-not-entitled"), "{refused:?}");
    let refused = borealis.ask("crm", Method::POST, "/campaigns", Some(json!({ "name": "Spring" }))).await?;
    ensure!((refused.status, refused.code()) == (403, "module-not-entitled"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn cirrus_is_refused_crm_and_has_its_settings() -> anyhow::Result<()> {
    let cirrus = example("cirrus").await?;
    let refused = cirrus.read("/contacts").await?;
    ensure!((refused.status, refused.code()) == (403, "not-entitled"), "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("crm"), "it must say to what: {detail}");

    let administrator = tokens::token("cirrus", &["tenant-admin"])?;
    let set = |method, body| cirrus.platform.ask(TENANT_SERVICE, method, "/settings/ui", &administrator, body);
    let made = set(Method::PUT, Some(json!({ "theme": { "appearance": "dark" } }))).await?;
    ensure!(made.status == 200, "{made:?}");
    let settings = cirrus.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body[0]["value"]["theme"]["appearance"] == "dark", "{settings:?}");
    let taken_back = set(Method::DELETE, None).await?;
    ensure!(taken_back.status == 204, "{taken_back:?}");
    let settings = cirrus.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body == json!([]), "{settings:?}");
    Ok(())
}

#[tokio::test]
async fn every_documented_path_answers_and_asks_who_it_is() -> anyhow::Result<()> {
    let aurora = example("aurora").await?;
    for service in SERVICES {
        let base = aurora.platform.service(service).await?;
        let document = Answer::of(aurora.platform.request(service, Method::GET, "/openapi.json").await?).await?;
        ensure!(document.status == 200, "{document:?}");
        ensure!(document.body["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document:?}");
        // By OpenAPI, a path is below the server's URL, and that is relative to where the document is.
        let server = document.body["servers"][0]["url"].as_str().unwrap_or("/");
        let server = reqwest::Url::parse(&format!("{base}/openapi.json"))?.join(server)?;
        let server = server.as_str().trim_end_matches('/');
        let paths = document.body["paths"].as_object().context("no paths")?;
        ensure!(!paths.is_empty(), "no paths");
        for (path, operations) in paths {
            let segment = |name: &str| match name {
                "{service}" => "ui".to_owned(),
                name if name.starts_with('{') => uuid::Uuid::nil().to_string(),
                name => name.to_owned(),
            };
            let concrete = path.split('/').map(segment).collect::<Vec<_>>().join("/");
            for (method, operation) in operations.as_object().context("operations")? {
                // What needs no token, as signing in, says so.
                let open = operation["security"].as_array().is_some_and(|all| all.contains(&json!({})));
                let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
                let request = easycode_kit::http::client().request(method.clone(), format!("{server}{concrete}"));
                let body = json!({});
                let stranger = Answer::of(request.try_clone().context("a body")?.json(&body)).await?;
                ensure!((stranger.status == 401) != open, "{service} {method} {server}{path}: {stranger:?}");
                // A user gets past that: whatever is then said of the empty input, it is said by that operation.
                let user = Answer::of(request.bearer_auth(aurora.token()?).json(&body)).await?;
                let answered = user.status < 500 && ![401, 405].contains(&user.status);
                ensure!(answered, "{service} {method} {path}: {user:?}");
            }
        }
    }
    Ok(())
}
