//! The tenant's context: how the tenant's people, their settings and the services come together.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_contract::{
    context::TenantContext,
    runtime::{TENANT_SERVICE, TENANT_SERVICE_AUDIENCE},
    stream::{ContextEvent, STREAM_PATH},
};
use easycode_testing::{Answer, Platform, TestTenant, tokens};
use futures::{StreamExt, TryStreamExt};
use reqwest::{Method, Response};
use serde_json::json;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};

/// Opens the stream of contexts with a token, or without any.
async fn stream(platform: &Platform, token: Option<&str>) -> anyhow::Result<Response> {
    let base = platform.base_url(TENANT_SERVICE).await?;
    let mut request = easycode_kit::http::client().get(format!("{base}{STREAM_PATH}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Ok(request.send().await?)
}

#[tokio::test]
async fn a_setting_reaches_the_services_that_it_concerns_within_a_second() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "setting", json!({})).await?;
    let crm = platform.workload_token(platform.namespace(), "crm", TENANT_SERVICE_AUDIENCE)?;
    let response = stream(&platform, Some(&crm)).await?.error_for_status()?;
    let reader = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
    let mut lines = FramedRead::new(reader, LinesCodec::new());
    let mut next = async || -> anyhow::Result<ContextEvent> {
        let line = tokio::time::timeout(Duration::from_secs(2), lines.next()).await?.context("the stream ended")??;
        Ok(serde_json::from_str(&line)?)
    };
    while next().await? != ContextEvent::Synced {}

    let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
    let value = json!({ "customFields": { "contact": [{ "name": "segment", "type": "Text" }] } });
    let set = platform.ask(TENANT_SERVICE, Method::PUT, "/settings/crm", &administrator, Some(value.clone())).await?;
    let written = Instant::now();
    ensure!(set.status == 200, "{set:?}");
    // The operator's own part of the context may be told of before.
    let is_told = |event: ContextEvent| match event {
        ContextEvent::Context { context } => {
            context.tenant == tenant.name && context.settings.get("crm") == Some(&value)
        }
        _ => false,
    };
    while !is_told(next().await?) {
        ensure!(written.elapsed() < Duration::from_secs(1), "not told after a second");
    }
    println!("told {:?} after the write", written.elapsed());
    Ok(())
}

#[tokio::test]
async fn settings_are_made_by_administrators_of_the_tenant_for_what_it_is_entitled_to() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "settings", json!({})).await?;
    let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
    let user = tokens::token(&tenant.name, &["crm-user"])?;
    for (what, token, path, value, status, code) in [
        ("a user", &user, "/settings/crm", json!({}), 403, "role-required"),
        ("another service", &administrator, "/settings/finance", json!({}), 403, "not-entitled"),
        ("no object", &administrator, "/settings/crm", json!([1]), 422, "invalid"),
    ] {
        let answer = platform.ask(TENANT_SERVICE, Method::PUT, path, token, Some(value)).await?;
        ensure!((answer.status, answer.code()) == (status, code), "{what}: {answer:?}");
    }
    let unmade = tenant.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(unmade.body == json!([]), "{unmade:?}");

    let refused = platform.ask(TENANT_SERVICE, Method::DELETE, "/settings/crm", &user, None).await?;
    ensure!((refused.status, refused.code()) == (403, "role-required"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn two_administrators_do_not_overwrite_each_others_settings() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "versions", json!({})).await?;
    let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
    let put = async |version: Option<&str>, value: &str| {
        let request = platform.request(TENANT_SERVICE, Method::PUT, "/settings/ui").await?.bearer_auth(&administrator);
        let request = version.map_or(request.try_clone().context("a body")?, |one| request.header("If-Match", one));
        Answer::of(request.json(&json!({ "theme": { "appearance": value } }))).await
    };
    let first = put(None, "light").await?;
    let seen = first.headers.get("etag").context("no ETag")?;
    ensure!(put(Some(seen), "dark").await?.status == 200);
    let late = put(Some(seen), "system").await?;
    ensure!((late.status, late.code()) == (412, "changed-meanwhile"), "{late:?}");
    let settings = tenant.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body[0]["value"]["theme"]["appearance"] == "dark", "{settings:?}");
    Ok(())
}

#[tokio::test]
async fn a_context_is_not_sent_again_to_who_has_it() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let tenant = TestTenant::create(&platform, "etag", json!({ "limits": { "users": 7 } })).await?;
    let context = async |known: &str| {
        let request = tenant.request(TENANT_SERVICE, Method::GET, "/context").await?;
        Answer::of(request.header("If-None-Match", known)).await
    };
    let first = context("\"none\"").await?;
    ensure!(first.status == 200, "{first:?}");
    let document: TenantContext = serde_json::from_value(first.body.clone())?;
    ensure!(document.tenant == tenant.name && document.limits.users == 7, "{document:?}");
    let etag = first.headers.get("etag").context("no ETag")?;
    let again = context(etag).await?;
    ensure!(again.status == 304 && again.body.is_null(), "{again:?}");

    let administrator = tokens::token(&tenant.name, &["tenant-admin"])?;
    let dark = json!({ "theme": { "appearance": "dark" } });
    let set = platform.ask(TENANT_SERVICE, Method::PUT, "/settings/ui", &administrator, Some(dark.clone())).await?;
    ensure!(set.status == 200, "{set:?}");
    platform.settings_published(&tenant.name, "ui", &dark).await;
    let changed = context(etag).await?;
    ensure!(changed.status == 200 && changed.body["settings"]["ui"]["theme"]["appearance"] == "dark", "{changed:?}");
    Ok(())
}

#[tokio::test]
async fn the_stream_of_contexts_is_for_services_alone() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let user = tokens::token("aurora", &["tenant-admin"])?;
    let for_the_api_server = platform.workload_token(platform.namespace(), "crm", "https://kubernetes.default.svc")?;
    for (who, token) in [
        ("nobody", None),
        ("a user", Some(user.as_str())),
        ("a token for the API server", Some(for_the_api_server.as_str())),
        ("nonsense", Some("a.b.c")),
    ] {
        let status = stream(&platform, token).await?.status();
        ensure!(status == 401, "{who}: {status}");
    }
    let crm = platform.workload_token(platform.namespace(), "crm", TENANT_SERVICE_AUDIENCE)?;
    let status = stream(&platform, Some(&crm)).await?.status();
    ensure!(status == 200, "crm itself: {status}");
    Ok(())
}
