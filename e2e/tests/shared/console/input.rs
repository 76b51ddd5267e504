//! Input that must not count.

use anyhow::ensure;
use easycode_e2e::{browser::set, cluster::Cluster, console::Browser};

use super::newcomer;

#[tokio::test]
async fn what_is_wrong_is_told_at_the_field_in_the_resources_own_words() -> anyhow::Result<()> {
    let tenant = newcomer("input").await?;
    let mut operations = Browser::signed_in(&tenant.platform.cluster, "operations").await?;
    let good = operations.get("/client-admin/tenants/new").await?.form("/client-admin/plan")?;
    for (field, value, words) in [
        ("name", "Not A Name", "must begin with a letter"),
        ("spec.displayName", " ", "displayName"),
        ("spec.region", "EU Central", "region: must begin with a letter"),
        ("spec.backup.rpo", "1 day", "must be a duration"),
        ("spec.limits.users", "many", "expected numeric"),
        ("spec.limits.users", "0", "greater than or equal to 1"),
        ("spec.administrators", "ada at fjord", "must be an email address"),
        ("spec.dataUse.analytics", "Pooled", "name the agreement"),
    ] {
        let mut form = good.clone();
        set(&mut form, "name", &tenant.name);
        set(&mut form, "spec.displayName", "Fjord");
        set(&mut form, field, value);
        let page = operations.post("/client-admin/plan", form).await?;
        let at = if field == "spec.dataUse.analytics" { "spec.dataUse.agreement" } else { field };
        let told = page.error_of(at).unwrap_or_default();
        ensure!(
            page.status == 422 && told.contains(words),
            "{field}={value}: {} {told:?} {}",
            page.status,
            page.text()
        );
        ensure!(page.html.contains("There is a problem"), "{field}: no summary");
    }
    ensure!(tenant.api().get_opt(&tenant.name).await?.is_none(), "it was made");
    Ok(())
}

#[tokio::test]
async fn a_form_of_another_session_and_a_forged_cookie_do_not_count() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let mut operations = Browser::signed_in(&cluster, "operations").await?;
    let mut form = operations.get("/client-admin/tenants/new").await?.form("/client-admin/plan")?;
    for csrf in ["", "another"] {
        set(&mut form, "csrf", csrf);
        for path in ["/client-admin/plan", "/client-admin/apply", "/client-admin/tenants/new"] {
            let refused = operations.post(path, form.clone()).await?;
            ensure!(refused.status == 403, "{path}: {}", refused.status);
        }
    }
    let page = operations.get("/client-admin/fleet").await?;
    let policy = page.headers["content-security-policy"].to_str()?;
    ensure!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    ensure!(page.headers["cache-control"] == "no-store");

    let flip = |value: &str| {
        let last = if value.ends_with('A') { 'B' } else { 'A' };
        format!("{}{last}", &value[..value.len() - 1])
    };
    // The last letter before the padding may carry no bits, so one in the middle is changed, too.
    let forge = |value: &str| flip(&value.replacen('a', "b", 1).replacen('e', "f", 1));
    ensure!(operations.tamper(forge), "there was no cookie");
    let asked = operations.get("/client-admin/fleet").await?;
    ensure!(asked.at.starts_with("/client-admin/sign-in?"), "a forged cookie counts: {}", asked.at);
    Ok(())
}
