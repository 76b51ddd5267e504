//! What the console tells of a tenant's past, and who the operator tells it to.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{
    console::{Browser, NAMESPACE, Program},
    platform::Answer,
    reach::reach,
    tenant::TestTenant,
};
use easycode_operator::audit::server::{AUDIENCE, path};
use http::Method;
use serde_json::json;

use super::{generation, newcomer, spec};

#[tokio::test]
async fn a_page_tells_who_changed_what_and_what_was_done_for_it() -> anyhow::Result<()> {
    let tenant = newcomer("past").await?;
    let cluster = &tenant.platform.cluster;
    let operations = Program::of(cluster, "operations").await?;
    let mut wanted = spec(&tenant.platform);
    ensure!(operations.put(&tenant.name, &wanted, None).await?.status == 200);
    let seen = generation(&tenant.ready().await);
    // Times of writes have whole seconds, and who can't be told apart by them is unknown.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    wanted["limits"] = json!({ "users": 61 });
    ensure!(operations.put(&tenant.name, &wanted, Some(seen)).await?.status == 200);
    tenant.ready().await;
    tenant.change(json!({ "entitlements": [] })).await?;
    tenant.serves(403).await;
    tenant.ready().await;

    let history = operations.ask(Method::GET, &format!("/tenants/{}/history", tenant.name), None).await?;
    ensure!(history.status == 200 && history.body["unread"] == json!([]), "{:?}", history.body);
    let entries = history.body["entries"].as_array().context("no entries")?;
    let at = |by: &str, what: &str| {
        let is = |entry: &serde_json::Value| {
            entry["kind"] == "Record"
                && entry["by"].as_str().is_some_and(|it| it.contains(by))
                && entry["what"].as_str().is_some_and(|it| it.contains(what))
        };
        entries.iter().position(is).with_context(|| format!("{what} by {by} is not in {entries:#?}"))
    };
    // The newest first.
    let order = [
        at("easycode-operator", "Revoke: stop svc_crm")?,
        at("", "entitlements[crm]: removed")?,
        at("operations@easycode.example by easycode-client-admin", "limits.users: 25 → 61")?,
        at("easycode-operator", "CreateRole")?,
        at("operations@easycode.example by easycode-client-admin", "SpecCreated")?,
    ];
    ensure!(order.is_sorted(), "{order:?} of {entries:#?}");

    let mut support = Browser::signed_in(cluster, "support").await?;
    let page = support.get(&format!("/client-admin/tenants/{}", tenant.name)).await?;
    ensure!(page.text().contains("limits.users: 25 → 61"), "{}", page.text());
    tenant.erase().await
}

#[tokio::test]
async fn the_operator_tells_a_trail_to_nobody_without_the_right() -> anyhow::Result<()> {
    let tenant = TestTenant::create(&newcomer("trail").await?.platform, "trail", json!({})).await?;
    let cluster = &tenant.platform.cluster;
    let operator = reach(cluster, NAMESPACE, "easycode-operator", 9091).await?;
    let http = easycode_kit::http::client();
    let ask = async |token: Option<&str>, name: &str| -> anyhow::Result<Answer> {
        let mut request = http.get(format!("http://{operator}{}", path(name)));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request).await
    };
    let console = cluster.token_of(NAMESPACE, "easycode-client-admin", Some(AUDIENCE)).await?;
    let told = ask(Some(&console), &tenant.name).await?;
    let records = told.body["records"].as_array().context("no records")?;
    ensure!(told.status == 200 && !records.is_empty() && told.body["unread"] == json!([]), "{:?}", told.body);

    let for_the_api_server = cluster.token_of(NAMESPACE, "easycode-client-admin", None).await?;
    let for_another = cluster.token_of(NAMESPACE, "easycode-client-admin", Some("easycode-user-service")).await?;
    let of_a_service = cluster.token_of(&tenant.platform.namespace(), "crm", Some(AUDIENCE)).await?;
    let of_nobody = cluster.token_of("default", "default", Some(AUDIENCE)).await?;
    for (what, token, status) in [
        ("no token", None, 401),
        ("none that is one", Some("e2e"), 401),
        ("one for the API server", Some(for_the_api_server.as_str()), 401),
        ("one for user-service", Some(for_another.as_str()), 401),
        ("a service's", Some(of_a_service.as_str()), 403),
        ("another account's", Some(of_nobody.as_str()), 403),
    ] {
        let answer = ask(token, &tenant.name).await?;
        ensure!(answer.status == status && answer.body.is_null(), "{what}: {} {:?}", answer.status, answer.body);
    }
    for name in ["nowhere", "..%2F..%2Fnamespaces", "a%2Fstatus"] {
        let answer = ask(Some(&console), name).await?;
        ensure!(answer.status == 404, "{name}: {}", answer.status);
    }
    tenant.erase().await
}
