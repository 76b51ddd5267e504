//! Versions, the way back to one, and the defaults.

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Company, theme};

/// The database of tenant-service.
const DATABASE: &str = "tenant_service";

#[tokio::test]
async fn every_change_makes_a_version_and_any_can_be_taken_back() -> anyhow::Result<()> {
    let company = Company::create("versions").await?;
    ensure!(company.set("ui", theme("light")).await? == 1);
    ensure!(company.set("ui", theme("dark")).await? == 2);
    let back = company.ask(Method::POST, "/ui/rollback", Some(json!({ "version": 1 })), Some(2)).await?;
    ensure!(back.status == 200 && back.headers["etag"] == "\"3\"", "{back:?}");
    ensure!(back.body["value"] == theme("light"), "{back:?}");

    // The defaults are a version, too, and the numbers go on.
    let reset = company.ask(Method::DELETE, "/ui", None, Some(3)).await?;
    ensure!(reset.status == 204, "{reset:?}");
    let again = company.ask(Method::DELETE, "/ui", None, None).await?;
    ensure!(again.status == 204, "{again:?}");
    let present = company.get("/ui").await?;
    ensure!(present["version"] == 4 && present["value"] == json!({}) && present["changedBy"] == "e2e", "{present}");
    ensure!(company.get("").await? == json!([]), "it is still set");
    ensure!(company.set("ui", theme("system")).await? == 5);

    let history = company.get("/ui/versions?limit=3").await?;
    let short = |history: &Value| -> anyhow::Result<Vec<(i64, String)>> {
        let items = history["items"].as_array().context("no items")?;
        let one = |item: &Value| Some((item["version"].as_i64()?, item["act"].as_str()?.to_owned()));
        items.iter().map(|item| one(item).with_context(|| item.to_string())).collect()
    };
    let named =
        |versions: &[(i64, &str)]| versions.iter().map(|(at, act)| (*at, (*act).to_owned())).collect::<Vec<_>>();
    ensure!(short(&history)? == named(&[(5, "Set"), (4, "Reset"), (3, "Rollback")]), "{history}");
    ensure!(history["items"][2]["restored"] == 1 && history["items"][2]["by"] == "e2e", "{history}");
    let older = company.get(&format!("/ui/versions?limit=3&before={}", history["next"])).await?;
    ensure!(short(&older)? == named(&[(2, "Set"), (1, "Set")]) && older["next"].is_null(), "{older}");
    let second = company.get("/ui/versions/2").await?;
    ensure!(second["value"] == theme("dark"), "{second}");
    for missing in ["/ui/versions/99", "/ui/versions/0", "/ui/versions/x"] {
        let answer = company.ask(Method::GET, missing, None, None).await?;
        ensure!((answer.status, answer.code()) == (404, "not-found"), "{missing}: {answer:?}");
    }
    let nowhere = company.ask(Method::POST, "/ui/rollback", Some(json!({ "version": 99 })), None).await?;
    ensure!(nowhere.status == 404, "{nowhere:?}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_no_longer_fits_is_not_taken_back() -> anyhow::Result<()> {
    let company = Company::create("outdated").await?;
    company.set("ui", theme("light")).await?;
    // As an earlier release would have taken it.
    let earlier = format!(
        "INSERT INTO {}.setting_version (service, version, act, value, made_by) VALUES ('ui', 2, 'Set', '{{\"theme\": \"dark\"}}', 'e2e')",
        company.tenant.role(),
    );
    company.tenant.platform.sql(DATABASE, &earlier).await?;
    let refused = company.ask(Method::POST, "/ui/rollback", Some(json!({ "version": 2 })), None).await?;
    ensure!((refused.status, refused.code()) == (422, "invalid"), "{refused:?}");
    ensure!(refused.body["errors"][0]["pointer"] == "/theme", "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_can_not_be_rewritten() -> anyhow::Result<()> {
    let company = Company::create("append").await?;
    company.set("ui", theme("light")).await?;
    let role = company.tenant.role();
    for statement in
        ["UPDATE {}.setting_version SET made_by = 'x'", "DELETE FROM {}.setting_version", "TRUNCATE {}.setting_version"]
    {
        let statement = statement.replace("{}", &role);
        let outcome = company.tenant.platform.sql(DATABASE, &statement).await;
        let refusal = format!("{:#}", outcome.err().with_context(|| format!("{statement} was done"))?);
        ensure!(refusal.contains("can't be changed"), "{refusal}");
    }
    Ok(())
}
