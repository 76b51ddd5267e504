//! Roles: given within what the company is entitled to, and worth nothing beyond.

use std::time::{Duration, Instant};

use anyhow::ensure;
use easycode_contract::runtime::USER_SERVICE;
use easycode_e2e::{
    platform::Answer,
    traffic::{Traffic, refused_within_a_second},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, company, refused, shop};

#[tokio::test]
async fn roles_are_given_within_the_entitlements_and_go_with_them() -> anyhow::Result<()> {
    let mut spec = shop();
    spec["limits"] = json!({ "requestsPerSecond": 10_000 });
    let (tenant, ada) = company("roles", spec).await?;
    let offered = ada.done(Method::GET, "/assignable-roles", None).await?;
    let offers = |service: &str, role: &str| {
        offered.as_array().into_iter().flatten().any(|one| one["service"] == service && one["name"] == role)
    };
    ensure!(offers("crm", "crm-user") && offers("pos", "pos-cashier"), "{offered}");
    ensure!(offers("tenant-service", "tenant-admin") && !offers("procurement", "procurement-buyer"), "{offered}");
    for (role, status, why) in [
        (("procurement", "procurement-buyer"), 403, "not entitled to procurement"),
        (("payroll", "payroll-clerk"), 403, "not entitled to payroll"),
        (("crm", "ledger-poster"), 422, "no role ledger-poster"),
        (("user-service", "tenant-admin"), 422, "no role tenant-admin"),
    ] {
        refused(&ada.invite("mallory", &[role]).await?, status, why)?;
    }

    let mut bob = ada.add("bob", &[("crm", "crm-user"), ("pos", "pos-cashier")]).await?;
    let all = ["crm-user", "pos-cashier"];
    ensure!(bob.roles()? == all, "what they imply is not the person's: {:?}", bob.roles()?);
    let asking = tenant.platform.request("crm", Method::GET, "/contacts").await?.bearer_auth(&bob.token);
    ensure!(Answer::of(asking.try_clone().expect("no body")).await?.status == 200);

    // Of what is withdrawn nothing is left a second later, whatever the token says, and the next token says it, too.
    let traffic = Traffic::start(asking);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    tenant.change(json!({ "entitlements": [{ "service": "pos" }, { "service": "inventory" }] })).await?;
    let changed = Instant::now();
    refused_within_a_second(&traffic.end_after(changed).await?, begun, changed, "not-entitled")?;
    bob.refresh().await?;
    ensure!(bob.roles()? == ["pos-cashier"], "{:?}", bob.roles()?);

    let user = ada.done(Method::GET, &format!("/users/{}", bob.id()?), None).await?;
    let active = |role: &str| {
        user["roles"].as_array().into_iter().flatten().find(|one| one["role"] == role).map(|one| one["active"] == true)
    };
    ensure!(active("crm-user") == Some(false) && active("pos-cashier") == Some(true), "{user}");
    // What was given before can be kept, and not given to another.
    let kept = ada.change(&bob.id()?, "Active", &[("crm", "crm-user"), ("pos", "pos-cashier")]).await?;
    ensure!(kept.status == 200, "{kept:?}");
    refused(&ada.invite("carol", &[("crm", "crm-user")]).await?, 403, "not entitled to crm")?;

    tenant.change(shop()).await?;
    tenant.ready().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.refresh().await?;
    ensure!(bob.roles()? == all, "they are back with the entitlement: {:?}", bob.roles()?);
    let fewer = ada.change(&bob.id()?, "Active", &[("crm", "crm-user")]).await?;
    ensure!(fewer.status == 200, "{fewer:?}");
    bob.refresh().await?;
    ensure!(bob.roles()? == ["crm-user"], "{:?}", bob.roles()?);
    tenant.erase().await
}

#[tokio::test]
async fn what_only_administrators_may_do_is_refused_to_everyone_else() -> anyhow::Result<()> {
    let (tenant, ada) = company("admin", json!({})).await?;
    let bob = ada.add("bob", &[("crm", "crm-user")]).await?;
    let of_ada = format!("/users/{}", ada.id()?);
    let user = json!({ "name": "Bob", "email": "x@staff.example", "roles": [] });
    let change = json!({ "name": "Bob", "status": "Active", "roles": [] });
    let provider = json!({ "issuer": "https://a.example", "clientId": "a", "clientSecret": "b", "enabled": false });
    let requests: [(Method, String, Option<Value>); 12] = [
        (Method::GET, "/users".to_owned(), None),
        (Method::POST, "/users".to_owned(), Some(user)),
        (Method::GET, of_ada.clone(), None),
        (Method::PUT, of_ada.clone(), Some(change)),
        (Method::DELETE, of_ada.clone(), None),
        (Method::POST, format!("{of_ada}/invitation"), None),
        (Method::POST, format!("{of_ada}/unlock"), None),
        (Method::DELETE, format!("{of_ada}/sessions"), None),
        (Method::GET, "/events".to_owned(), None),
        (Method::GET, "/assignable-roles".to_owned(), None),
        (Method::PUT, "/identity-provider".to_owned(), Some(provider.clone())),
        (Method::DELETE, "/identity-provider".to_owned(), None),
    ];
    for (method, path, body) in requests {
        let answer = answer(&bob, method.clone(), &path, body).await?;
        ensure!((answer.status, answer.code()) == (403, "role-required"), "{method} {path}: {answer:?}");
    }

    // The secret of an identity provider goes in, and never out.
    let made = ada.done(Method::PUT, "/identity-provider", Some(provider)).await?;
    ensure!(
        made == json!({ "issuer": "https://a.example", "clientId": "a", "enabled": false, "version": 1 }),
        "{made}"
    );
    ensure!(ada.done(Method::GET, "/identity-provider", None).await? == made);
    for inside in ["http://a.example", "https://10.0.0.1", "https://u:p@a.example", "https://a.example/?x=y"] {
        let inside = json!({ "issuer": inside, "clientId": "a", "clientSecret": "b", "enabled": true });
        refused(&answer(&ada, Method::PUT, "/identity-provider", Some(inside)).await?, 422, "issuer")?;
    }
    let here = format!("https://crm.{}.svc/", tenant.platform.namespace());
    let here = json!({ "issuer": here, "clientId": "a", "enabled": true });
    refused(&ada.ask(USER_SERVICE, Method::PUT, "/identity-provider", Some(here)).await?, 422, "issuer")?;
    tenant.erase().await
}
