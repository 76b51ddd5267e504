//! Sessions: they go on by tokens that count once, and end for good.

use anyhow::ensure;
use easycode_e2e::people::{ADMINISTRATOR, Person, address, ask};
use reqwest::Method;
use serde_json::json;

use super::{answer, company, refused};

#[tokio::test]
async fn a_refresh_token_counts_once_and_whoever_shows_it_again_ends_the_session() -> anyhow::Result<()> {
    let (tenant, ada) = company("refresh", json!({})).await?;
    let mut bob = ada.add("bob", &[]).await?;
    let first = bob.clone();
    let session = bob.claims()?["sid"].clone();
    bob.refresh().await?;
    bob.refresh().await?;
    ensure!(bob.claims()?["sid"] == session && bob.refresh_token != first.refresh_token);
    let lives = bob.claims()?["exp"].as_u64().zip(bob.claims()?["iat"].as_u64()).map(|(exp, iat)| exp - iat);
    ensure!(lives == Some(300), "a token lives for {lives:?}");

    // Any of the earlier ones, not just the last.
    let used = Some(json!({ "refreshToken": first.refresh_token }));
    let reused = ask(&tenant.platform, Method::POST, "/sessions/refresh", used).await?;
    refused(&reused, 401, "over")?;
    ensure!(bob.refresh().await.is_err(), "the session goes on with the newest token");
    let acts: Vec<_> = ada.trail().await?.into_iter().map(|event| event["act"].clone()).collect();
    ensure!(acts.contains(&json!("session.token-reused")), "{acts:?}");
    for bad in ["", "x", &"A".repeat(200)] {
        let bad = Some(json!({ "refreshToken": bad }));
        refused(&ask(&tenant.platform, Method::POST, "/sessions/refresh", bad).await?, 401, "over")?;
    }
    tenant.erase().await
}

#[tokio::test]
async fn a_person_sees_and_ends_their_own_sessions_and_an_administrator_ends_all() -> anyhow::Result<()> {
    let (tenant, ada) = company("sessions", json!({})).await?;
    let mut bob = ada.add("bob", &[]).await?;
    let mut other = Person::sign_in(&tenant.platform, &tenant.name, &address("bob")).await?;
    let listed = bob.done(Method::GET, "/sessions", None).await?;
    let listed = listed.as_array().cloned().unwrap_or_default();
    let current: Vec<_> = listed.iter().filter(|one| one["current"] == true).map(|one| one["id"].clone()).collect();
    ensure!(listed.len() == 2 && current == [bob.claims()?["sid"].clone()], "{listed:?}");

    let id = other.claims()?["sid"].as_str().unwrap_or_default().to_owned();
    let foreign = answer(&ada, Method::DELETE, &format!("/sessions/{id}"), None).await?;
    refused(&foreign, 404, "no such session")?;
    bob.done(Method::DELETE, &format!("/sessions/{id}"), None).await?;
    ensure!(other.refresh().await.is_err(), "it goes on");

    let mut third = Person::sign_in(&tenant.platform, &tenant.name, &address("bob")).await?;
    let shown = Some(json!({ "refreshToken": third.refresh_token }));
    let ended = ask(&tenant.platform, Method::DELETE, "/sessions/current", shown).await?;
    ensure!(ended.status == 204, "{ended:?}");
    ensure!(third.refresh().await.is_err(), "it goes on");

    ada.done(Method::DELETE, &format!("/users/{}/sessions", bob.id()?), None).await?;
    ensure!(bob.refresh().await.is_err(), "it goes on");
    let mut ada = Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await?;
    ada.done(Method::DELETE, "/sessions/current", None).await?;
    ensure!(ada.refresh().await.is_err(), "it goes on");
    tenant.erase().await
}
