//! Two administrators at once.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;

use super::{Company, theme};

#[tokio::test]
async fn of_those_who_saw_the_same_version_one_alone_changes_it() -> anyhow::Result<()> {
    let company = Company::create("race").await?;
    // The first is a version that can be named, too: nobody has set anything.
    for seen in [0, 1] {
        let rivals = ["light", "dark", "system", "light", "dark"];
        let rivals = rivals.map(|appearance| company.ask(Method::PUT, "/ui", Some(theme(appearance)), Some(seen)));
        let answers = try_join_all(rivals).await?;
        let done = answers.iter().filter(|answer| answer.status == 200).count();
        let late = answers.iter().filter(|answer| (answer.status, answer.code()) == (412, "changed-meanwhile")).count();
        ensure!((done, late) == (1, 4), "{answers:?}");
    }
    for (method, path, body) in
        [(Method::DELETE, "/ui", None), (Method::POST, "/ui/rollback", Some(json!({ "version": 1 })))]
    {
        let late = company.ask(method, path, body, Some(1)).await?;
        ensure!((late.status, late.code()) == (412, "changed-meanwhile"), "{path}: {late:?}");
    }
    ensure!(company.get("/ui").await?["version"] == 2);
    Ok(())
}

#[tokio::test]
async fn without_a_version_each_change_makes_one() -> anyhow::Result<()> {
    let company = Company::create("crowd").await?;
    let changes = (0..6).map(|_| company.set("ui", theme("dark")));
    let versions: BTreeSet<_> = try_join_all(changes).await?.into_iter().collect();
    ensure!(versions == (1..=6).collect(), "{versions:?}");
    let history = company.get("/ui/versions").await?;
    ensure!(history["items"].as_array().context("no items")?.len() == 6, "{history}");
    Ok(())
}
