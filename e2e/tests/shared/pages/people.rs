//! People: invited, given roles, and let go.

use anyhow::{Context, ensure};
use easycode_e2e::people::{PASSWORD, address};

use super::{browser::Browser, company};

/// Invites someone by the form; returns the path of the link.
async fn invite(browser: &mut Browser, name: &str, roles: &[&str]) -> anyhow::Result<String> {
    browser.look("/user/people").await?;
    let email = address(&name.to_lowercase());
    let mut fields = vec![("email", email.as_str()), ("name", name)];
    fields.extend(roles.iter().map(|role| ("role", *role)));
    let shown = browser.send("/user/people", &fields).await?;
    ensure!(shown.status == 200, "{shown:?}");
    let (_, token) = shown.html.split_once("/user/invitation?token=").context("no link")?;
    Ok(format!("/user/invitation?token={}", token.split('<').next().unwrap_or_default()))
}

/// Path of the page of someone who is in the list.
fn person(list: &str, name: &str) -> anyhow::Result<String> {
    let before = list.split(&format!("\">{name}</a>")).next().context("no such person")?;
    Ok(before.rsplit("href=\"").next().context("no link")?.to_owned())
}

#[tokio::test]
async fn someone_is_invited_comes_in_and_is_given_other_roles() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-people").await?;
    let link = invite(&mut ada, "Kim", &["pos/pos-cashier"]).await?;

    let mut kim = Browser::open(&tenant.platform).await?;
    let welcome = kim.look(&link).await?;
    ensure!(welcome.contains(&address("kim")) && welcome.contains(&tenant.name), "{welcome}");
    let token = kim.hidden("token")?;
    let weak = kim.send("/user/invitation", &[("token", &token), ("name", "Kim"), ("password", "password")]).await?;
    ensure!(weak.status == 422 && weak.html.contains("id=\"password-error\""), "{weak:?}");
    let come = kim.send("/user/invitation", &[("token", &token), ("name", "Kim"), ("password", PASSWORD)]).await?;
    ensure!(come.status == 303 && come.location == "/user/", "{come:?}");
    let home = kim.look("/user/").await?;
    ensure!(home.contains("pos-cashier") && !home.contains("href=\"/user/people\""), "{home}");
    let again = Browser::open(&tenant.platform).await?.get(&link).await?;
    ensure!(again.status == 404, "{again:?}");

    let list = ada.look("/user/people").await?;
    let page = person(&list, "Kim")?;
    ada.look(&page).await?;
    let version = ada.hidden("version")?;
    let change =
        [("name", "Kim <b>Lee</b>"), ("role", "pos/pos-manager"), ("role", "crm/crm-user"), ("version", &*version)];
    let saved = ada.send(&page, &change).await?;
    ensure!(saved.status == 303, "{saved:?}");
    let changed = ada.look(&page).await?;
    ensure!(changed.contains("Kim &lt;b&gt;Lee&lt;/b&gt;") && !changed.contains("<b>Lee"), "{changed}");
    ensure!(changed.contains("value=\"pos/pos-manager\" checked"), "{changed}");
    ensure!(!changed.contains("value=\"pos/pos-cashier\" checked"), "{changed}");
    let late = ada.send(&page, &change).await?;
    ensure!(late.status == 412 && late.html.contains("changed meanwhile"), "{late:?}");
    let home = kim.look("/user/").await?;
    ensure!(home.contains("crm-user"), "{home}");

    // Whoever is disabled is out at once.
    ada.look(&page).await?;
    let version = ada.hidden("version")?;
    let disabled = ada.send(&page, &[("name", "Kim"), ("disabled", "yes"), ("version", &version)]).await?;
    ensure!(disabled.status == 303, "{disabled:?}");
    let out = kim.get("/user/").await?;
    ensure!(out.status == 303 && out.location == "/user/sign-in", "{out:?}");

    ada.look(&page).await?;
    let unsure = ada.send(&format!("{page}/remove"), &[]).await?;
    ensure!(unsure.status == 422 && unsure.html.contains("id=\"sure-error\""), "{unsure:?}");
    let gone = ada.send(&format!("{page}/remove"), &[("sure", "yes")]).await?;
    ensure!(gone.status == 303 && !ada.look("/user/people").await?.contains(&address("kim")), "{gone:?}");
    let events = ada.look("/user/events").await?;
    for act in ["user.invited", "user.link-followed", "user.changed", "user.removed"] {
        ensure!(events.contains(act), "no {act} in {events}");
    }
    tenant.erase().await
}

#[tokio::test]
async fn one_changes_ones_password_and_ends_ones_sessions() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-home").await?;
    let mut other = Browser::open(&tenant.platform).await?;
    other.sign_in(&tenant.name, easycode_e2e::people::ADMINISTRATOR, PASSWORD).await?;
    ada.look("/user/").await?;
    let new = "walnut granite harbour moss";
    let wrong = ada.send("/user/password", &[("current", "wrong"), ("password", new)]).await?;
    ensure!(wrong.status == 422 && wrong.html.contains("id=\"current-error\""), "{wrong:?}");
    let changed = ada.send("/user/password", &[("current", PASSWORD), ("password", new)]).await?;
    ensure!(changed.status == 303, "{changed:?}");
    ensure!(ada.look("/user/?done=password").await?.contains("Your password is changed"));
    ensure!(other.get("/user/").await?.status == 303, "the other session goes on");

    let out = ada.send("/user/sign-out", &[]).await?;
    ensure!(out.status == 303 && ada.cookie("easycode-session").is_none(), "{out:?}");
    ensure!(ada.get("/user/").await?.location == "/user/sign-in");
    tenant.erase().await
}
