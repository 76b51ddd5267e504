//! Who sees nothing, and what other sites can't have done.

use anyhow::{Context, ensure};
use easycode_testing::{
    Platform,
    people::{ADMINISTRATOR, PASSWORD, Person, address},
};

use super::{browser::Browser, company, company_on};

const ADMINISTRATORS: [&str; 4] = ["/user/people", "/user/settings", "/user/settings/ui", "/user/events"];

#[tokio::test]
async fn pages_are_for_who_is_signed_in_and_some_for_administrators() -> anyhow::Result<()> {
    let (tenant, _) = company("pages-rights").await?;
    let mut nobody = Browser::open(&tenant.platform)?;
    for path in ADMINISTRATORS.into_iter().chain(["/user/"]) {
        let away = nobody.get(path).await?;
        ensure!(away.status == 303 && away.location == "/user/sign-in", "{path}: {away:?}");
    }
    nobody.look("/user/sign-in").await?;
    let fields = [("company", &*tenant.name), ("email", ADMINISTRATOR), ("password", "wrong wrong wrong")];
    let refused = nobody.send("/user/sign-in", &fields).await?;
    ensure!(refused.status == 401 && !refused.html.contains("wrong wrong wrong"), "{refused:?}");

    let ada = Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await?;
    ada.add("kim", &[("crm", "crm-user")]).await?;
    let mut kim = Browser::open(&tenant.platform)?;
    kim.sign_in(&tenant.name, &address("kim"), PASSWORD).await?;
    kim.look("/user/").await?;
    for path in ADMINISTRATORS {
        let refused = kim.get(path).await?;
        ensure!(refused.status == 403 && refused.html.contains("tenant-admin"), "{path}: {refused:?}");
    }
    kim.look("/user/").await?;
    let refused = kim.send("/user/settings/ui", &[("do", "save"), ("/theme/accent", "#000000")]).await?;
    ensure!(refused.status == 403, "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-csrf").await?;
    ada.look("/user/").await?;
    let token = ada.hidden("form-token")?;
    let fields = [("email", "mallory@example.com"), ("name", "Mallory"), ("role", "tenant-service/tenant-admin")];
    let with = |token: &'static str| [&fields[..], &[("form-token", token)]].concat();
    let own = [&fields[..], &[("form-token", token.as_str())]].concat();
    for (what, fields, headers) in [
        ("no token", fields.to_vec(), vec![]),
        ("a made-up token", with("abc"), vec![]),
        ("another site", own.clone(), vec![("origin", "https://evil.example")]),
        ("another site, by the browser", own.clone(), vec![("sec-fetch-site", "cross-site")]),
    ] {
        let refused = ada.send_as_is("/user/people", &fields, &headers).await?;
        ensure!(refused.status == 403 && refused.html.contains("not sent from a page"), "{what}: {refused:?}");
    }
    let mut other = Browser::open(&tenant.platform)?;
    other.sign_in(&tenant.name, ADMINISTRATOR, PASSWORD).await?;
    let foreign = other.send_as_is("/user/people", &own, &[]).await?;
    ensure!(foreign.status == 403, "a token of another session: {foreign:?}");
    ensure!(!ada.look("/user/people").await?.contains("mallory"), "it was done");
    let mut stranger = Browser::open(&tenant.platform)?;
    let fields = [("company", &*tenant.name), ("email", ADMINISTRATOR), ("password", PASSWORD)];
    let refused = stranger.send_as_is("/user/sign-in", &fields, &[]).await?;
    ensure!(refused.status == 403, "signed in by another site: {refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_is_of_one_company_and_nobodys_is_taken_over() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let (tenant, mut ada) = company_on(&platform, "pages-one").await?;
    let (_, mut eve) = company_on(&platform, "pages-two").await?;
    ada.look("/user/people").await?;
    eve.look("/user/people").await?;
    ensure!(!eve.page.html.contains(&tenant.name), "another company's: {}", eve.page.html);
    let kim = Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await?;
    let foreign = eve.get(&format!("/user/people/{}", kim.id()?)).await?;
    ensure!(foreign.status == 404, "{foreign:?}");
    let broken = eve.cookie("easycode-session").context("no session")?.replace(['a', 'b'], "c");
    eve.keep("easycode-session", &broken);
    let out = eve.get("/user/").await?;
    ensure!(out.status == 303 && out.location == "/user/sign-in", "{out:?}");
    Ok(())
}

#[tokio::test]
async fn pages_run_no_script_and_are_kept_nowhere() -> anyhow::Result<()> {
    let mut nobody = Browser::open(&Platform::start().await?)?;
    for path in ["/user/sign-in", "/user/style.css", "/user/invitation?token=x", "/user/"] {
        let shown = nobody.get(path).await?;
        let header = |name: &str| shown.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(header("content-security-policy").starts_with("default-src 'none'; style-src 'self';"), "{shown:?}");
        ensure!(header("content-security-policy").contains("frame-ancestors 'none'"), "{shown:?}");
        ensure!(header("x-content-type-options") == "nosniff", "{shown:?}");
        ensure!(header("referrer-policy") == "no-referrer" && header("cache-control") == "no-store", "{shown:?}");
        ensure!(!shown.html.contains("<script") && !shown.html.contains(" style="), "{shown:?}");
    }
    let page = nobody.look("/user/sign-in").await?;
    for part in ["<html lang=\"en\">", "name=\"viewport\"", "<main id=\"main\"", "<h1>", "href=\"#main\""] {
        ensure!(page.contains(part), "{part} is not in {page}");
    }
    Ok(())
}
