//! Settings: refused at the field, saved, seen before, taken back.

use anyhow::ensure;
use easycode_e2e::people::{ADMINISTRATOR, PASSWORD};

use super::{browser::Browser, company};

#[tokio::test]
async fn what_does_not_fit_is_told_at_its_field_and_what_fits_is_saved() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-fit").await?;
    ensure!(ada.look("/user/settings").await?.contains("href=\"/user/settings/procurement\""));
    let form = ada.look("/user/settings/procurement").await?;
    ensure!(form.contains("<label for=\"/approvals/0/role\">"), "{form}");
    let wrong = [("do", "save"), ("version", "0"), ("/approvals/0/above", "a lot"), ("/approvals/0/role", "The CFO")];
    let refused = ada.send("/user/settings/procurement", &wrong).await?;
    ensure!(refused.status == 422, "{refused:?}");
    for part in [
        "href=\"#/approvals/0/role\"",
        "id=\"/approvals/0/role-error\"",
        "aria-describedby=\"/approvals/0/role-hint /approvals/0/role-error\" aria-invalid=\"true\"",
        "value=\"a lot\"",
        "<title>Error: ",
    ] {
        ensure!(refused.html.contains(part), "{part} is not in {}", refused.html);
    }
    let right = [
        ("do", "save"),
        ("version", "0"),
        ("/approvals/0/above", "1000.00"),
        ("/approvals/0/role", "procurement-director"),
    ];
    let saved = ada.send("/user/settings/procurement", &right).await?;
    ensure!(saved.status == 303, "{saved:?}");
    let form = ada.look(&saved.location).await?;
    ensure!(form.contains("Saved.") && form.contains("value=\"procurement-director\" selected"), "{form}");

    let text = [("do", "save"), ("version", "1"), ("json", "{\"approvals\": [{}]}")];
    let refused = ada.send("/user/settings/procurement", &text).await?;
    ensure!(refused.status == 422 && refused.html.contains("/approvals/0/role: is required"), "{refused:?}");
    let broken = [("do", "save"), ("version", "1"), ("json", "{\"approvals\": ")];
    let refused = ada.send("/user/settings/procurement", &broken).await?;
    ensure!(refused.status == 422 && refused.html.contains("it is no JSON"), "{refused:?}");
    ensure!(ada.look("/user/settings/crm?as=json").await?.contains("<textarea"));
    tenant.erase().await
}

#[tokio::test]
async fn a_version_is_taken_back_and_who_was_faster_is_named() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-back").await?;
    let mut late = Browser::open(&tenant.platform).await?;
    late.sign_in(&tenant.name, ADMINISTRATOR, PASSWORD).await?;
    late.look("/user/settings/ui").await?;
    ada.look("/user/settings/ui").await?;
    for (version, accent) in [("0", "#0a5c8f"), ("1", "#b00020")] {
        let fields =
            [("do", "save"), ("version", version), ("/theme/accent", accent), ("/theme/logoText", "Aurora <i>")];
        let saved = ada.send("/user/settings/ui", &fields).await?;
        ensure!(saved.status == 303, "{saved:?}");
        ada.look("/user/settings/ui").await?;
    }
    let refused =
        late.send("/user/settings/ui", &[("do", "save"), ("version", "0"), ("/theme/accent", "#ffffff")]).await?;
    ensure!(refused.status == 412 && refused.html.contains("changed meanwhile by Ada Lovelace"), "{refused:?}");
    ensure!(refused.html.contains("value=\"#ffffff\""), "what was typed is lost: {}", refused.html);

    let back = ada.send("/user/settings/ui", &[("do", "back 1"), ("version", "2")]).await?;
    ensure!(back.status == 303, "{back:?}");
    let page = ada.look(&back.location).await?;
    ensure!(page.contains("version 1 taken back") && page.contains("value=\"#0a5c8f\""), "{page}");
    let reset = ada.send("/user/settings/ui", &[("do", "reset"), ("version", "3")]).await?;
    ensure!(reset.status == 303 && ada.look("/user/settings/ui").await?.contains("defaults taken back"), "{reset:?}");
    tenant.erase().await
}

#[tokio::test]
async fn a_theme_and_a_receipt_are_seen_before_they_are_saved() -> anyhow::Result<()> {
    let (tenant, mut ada) = company("pages-preview").await?;
    ada.look("/user/settings/pos").await?;
    let receipt =
        [("do", "preview"), ("version", "0"), ("/receipt/header", "AURORA\r\nMain Street 1"), ("/receipt/width", "30")];
    let shown = ada.send("/user/settings/pos", &receipt).await?;
    ensure!(shown.status == 200 && shown.html.contains("AURORA\nMain Street 1\n------"), "{shown:?}");
    ensure!(ada.look("/user/settings/pos").await?.contains("Nothing was ever set"), "a preview was saved");

    ada.look("/user/settings/ui").await?;
    let theme = [("do", "preview"), ("version", "0"), ("/theme/accent", "#b00020"), ("/theme/appearance", "dark")];
    let shown = ada.send("/user/settings/ui", &theme).await?;
    let styles = "/user/theme.css?accent=%23b00020&amp;appearance=dark&amp;preview=true";
    ensure!(shown.html.contains(styles), "{shown:?}");
    let css = ada.look(&styles.replace("&amp;", "&")).await?;
    ensure!(css.contains(".preview { color-scheme: dark; --accent: #b00020; --on-accent: #ffffff; }"), "{css}");
    let hostile = ada.get("/user/theme.css?accent=%23000000%3B%7Dbody%7B&appearance=dark&preview=false").await?;
    ensure!(hostile.status == 400, "{hostile:?}");

    // Saved, it is the theme of all pages within a second.
    ada.look("/user/settings/ui").await?;
    let fields = [("do", "save"), ("version", "0"), ("/theme/accent", "#b00020"), ("/theme/logoText", "Aurora")];
    ensure!(ada.send("/user/settings/ui", &fields).await?.status == 303);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let home = ada.look("/user/").await?;
    ensure!(home.contains("accent=%23b00020") && home.contains("<header><p>Aurora</p>"), "{home}");
    tenant.erase().await
}
