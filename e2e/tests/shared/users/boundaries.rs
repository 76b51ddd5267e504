//! What nobody may: reach into another company, or change what only EasyCode's staff decide.

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_e2e::{
    people::{PASSWORD, address, ask, token_in, try_sign_in},
    platform::Answer,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, company, refused};

/// A token as if it was one of another tenant's.
fn readdressed(token: &str, from: &str, to: &str) -> anyhow::Result<String> {
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token)?;
    ensure!(bytes.ends_with(from.as_bytes()), "the tenant is not at its end");
    bytes.truncate(bytes.len() - from.len());
    bytes.extend_from_slice(to.as_bytes());
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test]
async fn nothing_of_one_company_counts_in_another() -> anyhow::Result<()> {
    let ((a, ada), (b, eve)) = tokio::try_join!(company("one", json!({})), company("other", json!({})))?;
    let platform = &a.platform;
    let bob = ada.add("bob", &[("crm", "crm-user")]).await?;
    let invited = ada.invite("carol", &[]).await?;
    let of_bob = format!("/users/{}", bob.id()?);

    // Ids of another company's are those of nothing.
    let change = json!({ "name": "Owned", "status": "Disabled", "roles": [] });
    for (method, path, body) in [
        (Method::GET, of_bob.clone(), None),
        (Method::PUT, of_bob.clone(), Some(change)),
        (Method::DELETE, of_bob.clone(), None),
        (Method::POST, format!("{of_bob}/invitation"), None),
        (Method::POST, format!("{of_bob}/unlock"), None),
        (Method::DELETE, format!("{of_bob}/sessions"), None),
        (Method::DELETE, format!("/sessions/{}", bob.claims()?["sid"].as_str().unwrap_or_default()), None),
    ] {
        let answer = answer(&eve, method.clone(), &path, body).await?;
        ensure!(answer.status == 404, "{method} {path}: {answer:?}");
    }
    let others = eve.done(Method::GET, "/users", None).await?;
    ensure!(others["items"].as_array().map(Vec::len) == Some(1), "{others}");

    // Secrets count where they were given.
    let refresh = readdressed(&bob.refresh_token, &a.name, &b.name)?;
    let refresh = ask(platform, Method::POST, "/sessions/refresh", Some(json!({ "refreshToken": refresh }))).await?;
    refused(&refresh, 401, "over")?;
    let link = readdressed(&token_in(&invited.body["invitation"])?, &a.name, &b.name)?;
    let link = json!({ "token": link, "password": PASSWORD });
    refused(&ask(platform, Method::POST, "/invitations/accept", Some(link)).await?, 404, "link")?;
    ensure!(try_sign_in(platform, &b.name, &address("bob"), PASSWORD).await?.status == 401);
    bob.clone().refresh().await?;

    // A token for one company says nothing in another: the tenant is in what was signed.
    let mut claims = bob.claims()?;
    claims["tenant"] = json!(b.name);
    let forged: Vec<_> = bob.token.split('.').collect();
    let forged = format!("{}.{}.{}", forged[0], BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()), forged[2]);
    for service in ["crm", USER_SERVICE] {
        let path = if service == "crm" { "/contacts" } else { "/me" };
        let answer = platform.ask(service, Method::GET, path, &forged, None).await?;
        ensure!(answer.status == 401, "{service}: {answer:?}");
    }
    tokio::try_join!(a.erase(), b.erase())?;
    Ok(())
}

#[tokio::test]
async fn a_suspended_company_is_refused_as_one_that_is_not_there() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("suspended", json!({})).await?;
    let unknown = try_sign_in(&tenant.platform, "e2e-nobody", &ada.email, PASSWORD).await?;
    tenant.change(json!({ "state": "Suspended" })).await?;
    tenant.condition("Ready", "False", "Suspended").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let known = try_sign_in(&tenant.platform, &tenant.name, &ada.email, PASSWORD).await?;
    ensure!(known.status == 401 && known.body == unknown.body, "{known:?} is not {unknown:?}");
    let refused = answer(&ada, Method::GET, "/users", None).await?;
    ensure!((refused.status, refused.code()) == (403, "tenant-suspended"), "{refused:?}");
    ensure!(ada.refresh().await.is_err(), "a suspended company's session goes on");
    tenant.erase().await
}

#[tokio::test]
async fn no_call_changes_the_deployment_or_the_entitlements() -> anyhow::Result<()> {
    let (tenant, ada) = company("calls", json!({})).await?;
    let spec = tenant.get().await?.spec;
    for service in [USER_SERVICE, TENANT_SERVICE] {
        let document = Answer::of(tenant.platform.request(service, Method::GET, "/openapi.json").await?).await?.body;
        let paths = document["paths"].as_object().context("no paths")?;
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().context("no operations")? {
                if method == "get" {
                    continue;
                }
                let named = format!("{path} {}", fields(&document, operation).join(" ")).to_lowercase();
                for word in ["entitle", "deploy", "context", "limit", "release", "instance", "platform", "module"] {
                    ensure!(!named.contains(word), "{service}: {method} {path} takes {word}: {named}");
                }
            }
        }
        // Nor does what is not documented.
        for path in ["/context", "/entitlements", "/deployment", "/tenant", "/limits"] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let body =
                    json!({ "entitlements": [{ "service": "finance" }], "deployment": { "model": "Dedicated" } });
                let answer = ada.ask(service, method.clone(), path, Some(body)).await?;
                ensure!([404, 405].contains(&answer.status), "{service}: {method} {path}: {answer:?}");
            }
        }
    }
    ensure!(tenant.get().await?.spec == spec, "the tenant's spec has changed");
    tenant.erase().await
}

/// Names of all fields that a request can have.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let body = &schema["requestBody"];
    let mut open = vec![body.clone()];
    let mut seen = Vec::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref")
                    && !seen.contains(reference)
                {
                    seen.push(reference.clone());
                    open.push(document.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default());
                }
                if let Some(Value::Object(properties)) = map.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                open.extend(map.into_values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    names
}
