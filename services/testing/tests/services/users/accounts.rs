//! The company's users: how many there may be, and who looks after them.

use anyhow::{Context, ensure};
use easycode_contract::runtime::USER_SERVICE;
use easycode_testing::{
    Answer,
    people::{ADMINISTRATOR, PASSWORD, Person, address, try_sign_in},
};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;

use super::{answer, company, refused};

#[tokio::test]
async fn the_limit_of_users_holds_for_many_at_once() -> anyhow::Result<()> {
    let (tenant, ada) = company("limit", json!({ "limits": { "users": 4 } })).await?;
    let names: Vec<_> = (0..10).map(|number| format!("user{number}")).collect();
    let answers = try_join_all(names.iter().map(|name| ada.invite(name, &[]))).await?;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    ensure!(made.len() == 3, "{} beside the administrator", made.len());
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        ensure!((answer.status, answer.code()) == (403, "user-limit"), "{answer:?}");
    }
    // Who is disabled makes room, and comes back only if there is some.
    let id = made[0].body["id"].as_str().context("no id")?;
    let disabled = ada.change(id, "Disabled", &[]).await?;
    ensure!(disabled.status == 200, "{disabled:?}");
    ensure!(ada.invite("late", &[]).await?.status == 201);
    refused(&ada.change(id, "Active", &[]).await?, 403, "may have 4")?;
    tenant.change(json!({ "limits": { "users": 5 } })).await?;
    let back = ada.change(id, "Active", &[]).await?;
    ensure!(back.status == 200 && back.body["status"] == "Invited", "{back:?}");
    Ok(())
}

#[tokio::test]
async fn the_last_administrator_stays_even_if_two_remove_each_other_at_once() -> anyhow::Result<()> {
    let (_, ada) = company("last", json!({})).await?;
    let admin = ("tenant-service", "tenant-admin");
    let own = format!("/users/{}", ada.id()?);
    refused(&answer(&ada, Method::DELETE, &own, None).await?, 409, "last one")?;
    refused(&ada.change(&ada.id()?, "Disabled", &[admin]).await?, 409, "last one")?;
    refused(&ada.change(&ada.id()?, "Active", &[]).await?, 409, "last one")?;
    // Who was only invited is none yet.
    ensure!(ada.invite("carol", &[admin]).await?.status == 201);
    refused(&ada.change(&ada.id()?, "Active", &[]).await?, 409, "last one")?;

    let bob = ada.add("bob", &[admin]).await?;
    let other = format!("/users/{}", bob.id()?);
    let (one, two) =
        tokio::try_join!(answer(&ada, Method::DELETE, &other, None), answer(&bob, Method::DELETE, &own, None))?;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    // Who comes second is either the last one or out already.
    ensure!(statuses == [204, 409] || statuses == [204, 401], "{one:?} {two:?}");
    let left = if one.status == 204 { &ada } else { &bob };
    let users = left.done(Method::GET, "/users", None).await?;
    ensure!(users["items"].as_array().map(Vec::len) == Some(2), "beside Carol, who was only invited: {users}");
    Ok(())
}

#[tokio::test]
async fn who_was_an_administrator_lets_nobody_in_by_the_token_of_before() -> anyhow::Result<()> {
    let (_, ada) = company("former", json!({})).await?;
    let admin = ("tenant-service", "tenant-admin");
    let bob = ada.add("bob", &[admin]).await?;
    let carol = ada.add("carol", &[admin]).await?;
    let dora = ada.add("dora", &[admin]).await?;
    let intruder = async |former: &Person, name: &str| former.invite(name, &[admin]).await;
    ensure!(intruder(&bob, "erin").await?.status == 201);

    let disabled = ada.change(&bob.id()?, "Disabled", &[admin]).await?;
    ensure!(disabled.status == 200, "{disabled:?}");
    refused(&intruder(&bob, "frank").await?, 401, "is over")?;
    let demoted = ada.change(&carol.id()?, "Active", &[]).await?;
    ensure!(demoted.status == 200, "{demoted:?}");
    refused(&intruder(&carol, "grace").await?, 403, "tenant-admin")?;
    ada.done(Method::DELETE, &format!("/users/{}/sessions", dora.id()?), None).await?;
    refused(&intruder(&dora, "heidi").await?, 401, "is over")?;
    Ok(())
}

#[tokio::test]
async fn a_change_is_for_the_version_that_was_seen_and_a_removed_user_is_out() -> anyhow::Result<()> {
    let (tenant, ada) = company("versions", json!({})).await?;
    let mut bob = ada.add("bob", &[("crm", "crm-user")]).await?;
    let path = format!("/users/{}", bob.id()?);
    let seen = ada.done(Method::GET, &path, None).await?;
    let change = json!({ "name": "Robert", "status": "Active", "roles": [] });
    let with_version = async |version: &serde_json::Value| {
        let request = tenant.platform.request(USER_SERVICE, Method::PUT, &path).await?;
        let request = request.bearer_auth(&ada.token).header("if-match", format!("\"{version}\""));
        Answer::of(request.json(&change)).await
    };
    let changed = with_version(&seen["version"]).await?;
    ensure!(changed.status == 200 && changed.body["name"] == "Robert", "{changed:?}");
    let late = with_version(&seen["version"]).await?;
    ensure!((late.status, late.code()) == (412, "changed-meanwhile"), "{late:?}");

    let page = ada.done(Method::GET, "/users?limit=1", None).await?;
    ensure!(page["items"][0]["email"] == ADMINISTRATOR, "{page}");
    let next = page["next"].as_str().context("no next page")?;
    let page = ada.done(Method::GET, &format!("/users?limit=1&cursor={next}"), None).await?;
    ensure!(page["items"][0]["email"] == address("bob") && page["next"].is_null(), "{page}");

    ada.done(Method::DELETE, &path, None).await?;
    ensure!(bob.refresh().await.is_err(), "the session goes on");
    refused(&answer(&bob, Method::GET, "/me", None).await?, 401, "is over")?;
    refused(&answer(&ada, Method::GET, &path, None).await?, 404, "no such user")?;
    let gone = try_sign_in(&tenant.platform, &tenant.name, &address("bob"), PASSWORD).await?;
    ensure!(gone.status == 401, "{gone:?}");
    Ok(())
}
