//! Attacks by the people of a company that is gone, on the company that has its name now: with tokens, sessions, links and requests of
//! before.

use std::time::Duration;

use anyhow::ensure;
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_testing::{
    Answer, Platform, TestTenant,
    people::{self, Person, ask},
    tokens,
};
use http::header;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A company with an administrator, and the name that others will have.
async fn company() -> anyhow::Result<(Platform, TestTenant, Person)> {
    let platform = Platform::start().await?;
    let spec = people::with_administrator(json!({}));
    let former = TestTenant::named(&platform, "phoenix", spec).await?;
    let ada = people::first_administrator(&platform, "phoenix", people::ADMINISTRATOR).await?;
    Ok((platform, former, ada))
}

/// Another company takes the name of one that is erased.
async fn replace(former: &TestTenant) -> anyhow::Result<TestTenant> {
    former.erase().await?;
    let present = TestTenant::named(&former.platform, &former.name, people::with_administrator(json!({}))).await?;
    present.add_contact("Secret").await?;
    Ok(present)
}

fn refused(answer: &Answer) -> anyhow::Result<()> {
    ensure!(answer.status == 401, "{answer:?}");
    ensure!(!answer.body.to_string().contains("Secret"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_token_of_another_issuer_counts_for_no_company_that_was_made_after_it() -> anyhow::Result<()> {
    let (platform, former, _) = company().await?;
    let token = tokens::token(&former.name, &["crm-user", "tenant-admin"])?;
    ensure!(platform.ask("crm", Method::GET, "/contacts", &token, None).await?.status == 200);
    former.erase().await?;
    // Its time of issue has whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let present = TestTenant::named_now(&platform, &former.name, json!({})).await?;
    refused(&platform.ask("crm", Method::GET, "/contacts", &token, None).await?)?;
    let settings = Some(json!({ "theme": { "appearance": "dark" } }));
    refused(&platform.ask(TENANT_SERVICE, Method::PUT, "/settings/ui", &token, settings).await?)?;
    refused(&platform.ask(USER_SERVICE, Method::GET, "/users", &token, None).await?)?;
    present.add_contact("Secret").await?;
    Ok(())
}

#[tokio::test]
async fn what_user_service_gave_the_people_of_a_company_opens_nothing_of_its_namesake() -> anyhow::Result<()> {
    let (platform, former, ada) = company().await?;
    let kim = ada.add("kim", &[("crm", "crm-user")]).await?;
    let link = ada.invite("lee", &[]).await?;
    ensure!(link.status == 201, "{link:?}");
    let service =
        platform.workload_token(platform.namespace(), "crm", easycode_contract::runtime::TENANT_SERVICE_AUDIENCE)?;
    let present = replace(&former).await?;

    refused(&kim.ask("crm", Method::GET, "/contacts", None).await?)?;
    refused(&ada.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?)?;
    refused(&ada.ask(USER_SERVICE, Method::GET, "/users", None).await?)?;
    let delegated = people::delegation(&platform, Some(&service), &kim.token).await?;
    ensure!(delegated.status == 422, "{delegated:?}");
    let refresh = Some(json!({ "refreshToken": kim.refresh_token }));
    refused(&ask(&platform, Method::POST, "/sessions/refresh", refresh).await?)?;
    let accept = json!({ "token": people::token_in(&link.body["invitation"])?, "password": people::PASSWORD });
    let accepted = ask(&platform, Method::POST, "/invitations/accept", Some(accept)).await?;
    ensure!(accepted.status == 404, "{accepted:?}");
    let page = format!("{}/user/", platform.base_url(USER_SERVICE).await?);
    let cookie = format!("easycode-session={}", kim.refresh_token);
    let page = Answer::of(easycode_kit::http::client().get(page).header(header::COOKIE, cookie)).await?;
    ensure!(page.status != 200 || !page.body.to_string().contains("kim"), "{page:?}");

    // The company of today has people of its own.
    let grace = people::first_administrator(&platform, &present.name, people::ADMINISTRATOR).await?;
    ensure!(grace.ask(USER_SERVICE, Method::GET, "/users", None).await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn settings_of_a_company_do_not_reach_its_namesake() -> anyhow::Result<()> {
    let (platform, former, ada) = company().await?;
    let fields = json!({ "customFields": { "contact": [{ "name": "loyalty", "type": "Text", "required": true }] } });
    let set = ada.ask(TENANT_SERVICE, Method::PUT, "/settings/crm", Some(fields.clone())).await?;
    ensure!(set.status == 200, "{set:?}");
    platform.settings_published(&former.name, "crm", &fields).await;
    // A contact without the field can be added: nothing demands it.
    let present = replace(&former).await?;
    let settings = present.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body == json!([]), "{settings:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_begun_for_a_company_does_not_end_in_its_namesake() -> anyhow::Result<()> {
    let (platform, former, _) = company().await?;
    let base = platform.base_url("crm").await?;
    let body = json!({ "familyName": "Intruder" }).to_string();
    let head = format!(
        "POST /crm/v1/contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        former.token()?,
        body.len(),
    );
    let mut slow = TcpStream::connect(base.trim_start_matches("http://")).await?;
    slow.write_all(head.as_bytes()).await?;
    slow.write_all(&body.as_bytes()[..5]).await?;
    // It is known who asks, and the rest is waited for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let present = replace(&former).await?;
    slow.write_all(&body.as_bytes()[5..]).await?;
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let contacts = present.read("/contacts").await?;
    let names: Vec<_> = contacts.body["items"].as_array().into_iter().flatten().map(|one| &one["familyName"]).collect();
    ensure!(names == [&Value::from("Secret")], "{contacts:?}");
    Ok(())
}
