//! Passwords: which are taken, and how little can be guessed.

use std::{
    future::ready,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use easycode_testing::{
    Answer,
    people::{ADMINISTRATOR, PASSWORD, Person, address, ask, follow, token_in, try_sign_in},
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use reqwest::Method;
use serde_json::json;

use super::{answer, company, refused};

#[tokio::test]
async fn weak_and_breached_passwords_are_refused_with_a_way_out() -> anyhow::Result<()> {
    let (tenant, ada) = company("weak", json!({})).await?;
    let invited = ada.invite("bob", &[]).await?;
    let token = token_in(&invited.body["invitation"])?;
    for (weak, why) in [
        ("short", "12 to 128"),
        ("password12345", "too easy"),
        ("bob@staff.example", "made of"),
        ("qwertyuiopasdf", "too easy"),
    ] {
        let body = json!({ "token": token, "password": weak });
        refused(&ask(&tenant.platform, Method::POST, "/invitations/accept", Some(body)).await?, 422, why)?;
    }
    let bob = follow(&tenant.platform, &tenant.name, &address("bob"), &invited.body["invitation"]).await?;

    let change = |current: &str, new: &str| Some(json!({ "current": current, "new": new }));
    let other = "seven violet anchors hum";
    refused(&answer(&bob, Method::PUT, "/me/password", change("wrong", other)).await?, 422, "current")?;
    refused(&answer(&bob, Method::PUT, "/me/password", change(PASSWORD, "letmeinletmein")).await?, 422, "too easy")?;
    let mut elsewhere = Person::sign_in(&tenant.platform, &tenant.name, &address("bob")).await?;
    bob.done(Method::PUT, "/me/password", change(PASSWORD, other)).await?;
    ensure!(elsewhere.refresh().await.is_err(), "the other session goes on");
    let mut own = bob.clone();
    own.refresh().await?;
    ensure!(try_sign_in(&tenant.platform, &tenant.name, &address("bob"), PASSWORD).await?.status == 401);
    ensure!(try_sign_in(&tenant.platform, &tenant.name, &address("bob"), other).await?.status == 201);
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_lock_an_account_and_tell_nothing_and_an_administrator_unlocks_it() -> anyhow::Result<()> {
    let (tenant, ada) = company("lock", json!({})).await?;
    let bob = ada.add("bob", &[]).await?;
    let sign_in = async |tenant_name: &str, email: &str, password: &str| {
        let begun = Instant::now();
        let answer = try_sign_in(&tenant.platform, tenant_name, email, password).await?;
        anyhow::Ok((answer, begun.elapsed()))
    };
    let (wrong, took) = sign_in(&tenant.name, &address("bob"), "wrong").await?;
    ensure!(wrong.status == 401 && took >= Duration::from_millis(400), "{wrong:?} after {took:?}");
    for (name, email, password) in [
        (tenant.name.as_str(), "nobody@staff.example", "wrong"),
        ("nobody", ADMINISTRATOR, PASSWORD),
        ("no tenant's name", ADMINISTRATOR, PASSWORD),
    ] {
        let (other, took) = sign_in(name, email, password).await?;
        ensure!(other.body == wrong.body && other.status == 401, "{other:?} is not {wrong:?}");
        ensure!(took >= Duration::from_millis(400), "refused after {took:?}");
    }
    for _ in 0..4 {
        sign_in(&tenant.name, &address("bob"), "wrong").await?;
    }
    let (locked, _) = sign_in(&tenant.name, &address("bob"), PASSWORD).await?;
    ensure!(locked.status == 401 && locked.body == wrong.body, "the right password, while locked: {locked:?}");
    let user = ada.done(Method::GET, &format!("/users/{}", bob.id()?), None).await?;
    ensure!(user["locked"] == true && user["status"] == "Active", "{user}");

    ada.done(Method::POST, &format!("/users/{}/unlock", bob.id()?), None).await?;
    let (unlocked, _) = sign_in(&tenant.name, &address("bob"), PASSWORD).await?;
    ensure!(unlocked.status == 201, "{unlocked:?}");
    let acts: Vec<_> = ada.trail().await?.into_iter().map(|event| event["act"].clone()).collect();
    ensure!(acts.contains(&json!("user.locked")) && acts.contains(&json!("user.unlocked")), "{acts:?}");
    Ok(())
}

#[tokio::test]
async fn attempts_for_one_name_run_out_whether_it_exists_or_not() -> anyhow::Result<()> {
    let (tenant, _) = company("attempts", json!({})).await?;
    for email in ["nobody@staff.example", ADMINISTRATOR] {
        let mut tried = 0;
        let refused = loop {
            let answer = try_sign_in(&tenant.platform, &tenant.name, email, "wrong").await?;
            if answer.status != 401 || tried > 30 {
                break answer;
            }
            tried += 1;
        };
        ensure!((refused.status, refused.code()) == (429, "too-many-requests"), "{email}: {refused:?} after {tried}");
        ensure!(tried >= 10, "{email}: refused after {tried}");
    }
    Ok(())
}

#[tokio::test]
async fn while_a_company_is_guessed_in_its_own_people_sign_in() -> anyhow::Result<()> {
    let (tenant, ada) = company("guessed", json!({ "limits": { "requestsPerSecond": 10_000 } })).await?;
    ada.add("bob", &[]).await?;
    let guess = async |number: u32| {
        try_sign_in(&tenant.platform, &tenant.name, &format!("nobody-{number}@staff.example"), "wrong").await
    };
    let beyond = |answer: &Answer| (answer.status, answer.code()) == (429, "too-many-requests");
    let guesses = try_join_all((0..100).map(guess)).await?;
    ensure!(guesses.iter().any(beyond), "100 guesses at once are not too many");
    // While the guessing goes on. Some are let try every second, whom the guesses leave little of.
    let refused = async |email: &str| {
        for _ in 0..8 {
            let answer = try_sign_in(&tenant.platform, &tenant.name, email, "wrong").await?;
            if beyond(&answer) {
                return Ok(answer);
            }
        }
        bail!("{email} was let try each time")
    };
    let asked = async {
        let (known, unknown) = (address("bob"), address("nobody"));
        let (known, unknown) = tokio::try_join!(refused(&known), refused(&unknown))?;
        ensure!(known.body == unknown.body, "{known:?} is not {unknown:?}");
        Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await
    };
    // One after the other rather than all at once, so that there is no moment between two bursts.
    let pace = |number| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        number
    };
    let guessing =
        stream::iter(100..).then(pace).map(guess).buffer_unordered(200).try_for_each(|_| ready(anyhow::Ok(())));
    tokio::select! {
        ended = guessing => bail!("the guessing has ended: {ended:?}"),
        signed_in = asked => signed_in.map(drop),
    }
}
