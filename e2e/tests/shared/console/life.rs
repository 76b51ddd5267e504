//! A company from the first form to the last.

use anyhow::{Context, ensure};
use easycode_crds::tenant::State;
use easycode_e2e::{
    browser::{Page, set},
    console::Browser,
    tenant::TestTenant,
};
use kube::ResourceExt;

use super::newcomer;

const OPERATIONS: &str = "operations@easycode.example";

/// Confirms a plan.
async fn confirm(browser: &mut Browser, plan: &Page) -> anyhow::Result<Page> {
    ensure!(plan.status == 200, "{}: {}", plan.status, plan.text());
    browser.post("/client-admin/apply", plan.form("/client-admin/apply")?).await
}

fn is_progress(page: &Page, tenant: &TestTenant) -> anyhow::Result<()> {
    let there = page.at == format!("/client-admin/tenants/{}/progress", tenant.name);
    ensure!(page.status == 200 && there, "{} {}: {}", page.status, page.at, page.text());
    Ok(())
}

#[tokio::test]
async fn a_company_is_onboarded_changed_suspended_and_offboarded() -> anyhow::Result<()> {
    let tenant = newcomer("console").await?;
    let cluster = &tenant.platform.cluster;
    let mut operations = Browser::signed_in(cluster, "operations").await?;

    let mut form = operations.get("/client-admin/tenants/new").await?.form("/client-admin/plan")?;
    set(&mut form, "name", &tenant.name);
    set(&mut form, "spec.displayName", "Fjord & <b>Sons</b>");
    set(&mut form, "spec.deployment.platform", &tenant.platform.name);
    set(&mut form, "spec.deletionPolicy", "Delete");
    set(&mut form, "spec.administrators", "ada@fjord.example, Ada\nbo@fjord.example");
    set(&mut form, "service", "crm");
    set(&mut form, "module", "crm/campaigns");
    let plan = operations.post("/client-admin/plan", form).await?;
    let text = plan.text();
    ensure!(text.contains("displayName") && text.contains("create and migrate the schema in crm"), "{text}");
    ensure!(tenant.api().get_opt(&tenant.name).await?.is_none(), "a plan made the tenant");
    is_progress(&confirm(&mut operations, &plan).await?, &tenant)?;
    let made = tenant.ready().await;
    ensure!(made.annotations().get("easycode.io/changed-by").map(String::as_str) == Some(OPERATIONS), "{made:?}");
    ensure!(made.spec.administrators.len() == 2 && made.spec.administrators[0].name.as_deref() == Some("Ada"));
    ensure!(made.spec.entitlements[0].modules == ["campaigns"], "{:?}", made.spec.entitlements);
    let page = operations.get(&format!("/client-admin/tenants/{}", tenant.name)).await?;
    ensure!(page.html.contains("Fjord &amp; &lt;b&gt;Sons&lt;/b&gt;"), "the name is not escaped");
    ensure!(page.text().contains(&format!("{OPERATIONS} by easycode-client-admin")), "{}", page.text());

    let change = format!("/client-admin/tenants/{}/change", tenant.name);
    let mut form = operations.get(&change).await?.form("/client-admin/plan")?;
    set(&mut form, "spec.limits.users", "77");
    let plan = operations.post("/client-admin/plan", form).await?;
    ensure!(plan.text().contains("limits.users 25 77"), "{}", plan.text());
    is_progress(&confirm(&mut operations, &plan).await?, &tenant)?;
    ensure!(tenant.ready().await.spec.limits.users == 77);

    let plan = operations.get(&format!("/client-admin/tenants/{}/suspend", tenant.name)).await?;
    ensure!(plan.text().contains("state Active Suspended"), "{}", plan.text());
    is_progress(&confirm(&mut operations, &plan).await?, &tenant)?;
    tenant.condition("Ready", "False", "Suspended").await;
    let plan = operations.get(&format!("/client-admin/tenants/{}/resume", tenant.name)).await?;
    confirm(&mut operations, &plan).await?;
    ensure!(tenant.ready().await.spec.state == State::Active);

    let offboard = format!("/client-admin/tenants/{}/offboard", tenant.name);
    let mut administrator = Browser::signed_in(cluster, "administrator").await?;
    let mut form = administrator.get(&offboard).await?.form(&offboard)?;
    set(&mut form, "confirm", "another");
    let refused = administrator.post(&offboard, form.clone()).await?;
    ensure!(refused.status == 422 && refused.error_of("confirm").is_some(), "{}", refused.text());
    tenant.get().await.context("it was deleted all the same")?;
    set(&mut form, "confirm", &tenant.name);
    is_progress(&administrator.post(&offboard, form).await?, &tenant)?;
    tenant.gone().await;
    Ok(())
}
