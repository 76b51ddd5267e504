//! Fields that another manager owns are shown, and not overwritten.

use anyhow::ensure;
use easycode_e2e::{
    browser::set,
    console::{Browser, Program},
    own_instance::OwnInstance,
    tenant::TestTenant,
};
use http::Method;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{generation, newcomer, spec};

const PIPELINE: &str = "e2e-pipeline";

/// Applies as a pipeline does.
async fn pipeline(tenant: &TestTenant, spec: Value) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant", "metadata": { "name": tenant.name }, "spec": spec,
    });
    tenant.api().patch(&tenant.name, &PatchParams::apply(PIPELINE).force(), &Patch::Apply(object)).await?;
    Ok(())
}

#[tokio::test]
async fn a_conflict_is_shown_and_only_an_administrator_may_take_the_field_over() -> anyhow::Result<()> {
    let tenant = newcomer("conflict").await?;
    let cluster = &tenant.platform.cluster;
    let mut wanted = spec(&tenant.platform);
    wanted["limits"] = json!({ "users": 7 });
    pipeline(&tenant, wanted).await?;
    tenant.ready().await;

    let change = format!("/client-admin/tenants/{}/change", tenant.name);
    let mut operations = Browser::signed_in(cluster, "operations").await?;
    let mut form = operations.get(&change).await?.form("/client-admin/plan")?;
    set(&mut form, "spec.limits.users", "9");
    set(&mut form, "spec.limits.connections", "6");
    let shown = operations.post("/client-admin/plan", form.clone()).await?;
    let text = shown.text();
    ensure!(text.contains("Conflicts over") && text.contains(PIPELINE) && text.contains("You want 9"), "{text}");
    ensure!(!text.contains("Take it over"), "operations is offered to take it over");
    // Given up, the rest is applied and the pipeline's value stays.
    let plan = operations.post("/client-admin/plan", shown.form("/client-admin/plan")?).await?;
    ensure!(plan.text().contains("limits.connections 5 6") && !plan.text().contains("limits.users"), "{}", plan.text());
    operations.post("/client-admin/apply", plan.form("/client-admin/apply")?).await?;
    let now = tenant.ready().await;
    ensure!((now.spec.limits.users, now.spec.limits.connections) == (7, 6), "{:?}", now.spec.limits);

    // A form that claims to have settled it changes nothing for who is no administrator.
    let taken = json!({ "field": "spec.limits.users", "managers": [PIPELINE], "present": 7 }).to_string();
    let mut forged = operations.get(&change).await?.form("/client-admin/plan")?;
    set(&mut forged, "spec.limits.users", "9");
    set(&mut forged, "take-over", &taken);
    let refused = operations.post("/client-admin/apply", forged).await?;
    ensure!(refused.status == 403, "{}: {}", refused.status, refused.text());

    let mut administrator = Browser::signed_in(cluster, "administrator").await?;
    let mut form = administrator.get(&change).await?.form("/client-admin/plan")?;
    set(&mut form, "spec.limits.users", "9");
    let shown = administrator.post("/client-admin/plan", form).await?;
    let mut choice = shown.form("/client-admin/plan")?;
    set(&mut choice, "choice.spec.limits.users", "take");
    let plan = administrator.post("/client-admin/plan", choice).await?;
    ensure!(plan.text().contains("limits.users 7 9") && plan.text().contains("Taken over"), "{}", plan.text());
    let confirmation = plan.form("/client-admin/apply")?;
    // What came in between was not seen, so it is not overwritten.
    pipeline(&tenant, {
        let mut other = spec(&tenant.platform);
        other["limits"] = json!({ "users": 8 });
        other
    })
    .await?;
    let stale = administrator.post("/client-admin/apply", confirmation).await?;
    ensure!(stale.status == 412 && tenant.get().await?.spec.limits.users == 8, "{}: {}", stale.status, stale.text());
    tenant.erase().await
}

#[tokio::test]
async fn the_api_tells_field_owner_and_values_and_takes_over_just_what_was_seen() -> anyhow::Result<()> {
    let tenant = newcomer("conflict").await?;
    let cluster = &tenant.platform.cluster;
    let mut owned = spec(&tenant.platform);
    owned["limits"] = json!({ "users": 7 });
    pipeline(&tenant, owned).await?;
    let seen = generation(&tenant.ready().await);
    let operations = Program::of(cluster, "operations").await?;
    let mut wanted = json!(tenant.get().await?.spec);
    wanted["limits"]["users"] = 9.into();
    let answer = operations.put(&tenant.name, &wanted, Some(seen)).await?;
    let expected =
        json!({ "field": "spec.limits.users", "managers": [PIPELINE], "present": 7, "wanted": 9, "mayBeTaken": true });
    ensure!(answer.status == 409 && answer.body["conflicts"] == json!([expected]), "{:?}", answer.body);
    ensure!(tenant.get().await?.spec.limits.users == 7);

    let administrator = Program::of(cluster, "administrator").await?;
    let take = |present: i64| {
        let taken = json!([{ "field": "spec.limits.users", "managers": [PIPELINE], "present": present }]);
        Some(json!({ "tenant": { "spec": wanted, "seen": seen, "takeOver": taken } }))
    };
    let path = format!("/tenants/{}", tenant.name);
    ensure!(administrator.ask(Method::PUT, &path, take(6)).await?.status == 409, "it was seen otherwise");
    let answer = administrator.ask(Method::PUT, &path, take(7)).await?;
    ensure!(answer.status == 200, "{:?}", answer.body);
    ensure!(tenant.get().await?.spec.limits.users == 9);
    tenant.erase().await
}

#[tokio::test]
async fn a_take_over_that_is_refused_leaves_no_instance_behind() -> anyhow::Result<()> {
    let tenant = newcomer("conflict").await?;
    let cluster = &tenant.platform.cluster;
    let mut owned = spec(&tenant.platform);
    owned["limits"] = json!({ "users": 7 });
    pipeline(&tenant, owned).await?;
    let seen = generation(&tenant.ready().await);
    let instance = OwnInstance::named(cluster, &tenant.name);
    let mut wanted = json!(tenant.get().await?.spec);
    wanted["limits"]["users"] = 9.into();
    let taken = json!([{ "field": "spec.limits.users", "managers": [PIPELINE], "present": 7 }]);
    let change = json!({
        "tenant": { "spec": wanted, "seen": seen, "takeOver": taken },
        "instance": { "name": tenant.name, "wanted": { "spec": instance.spec(json!({})).await? } },
    });
    let path = format!("/tenants/{}", tenant.name);
    let operations = Program::of(cluster, "operations").await?;
    let planned = operations.ask(Method::POST, &format!("{path}/plan"), Some(change.clone())).await?;
    ensure!(planned.status == 200 && planned.body["errors"] == json!([]), "{:?}", planned.body);
    let refused = operations.ask(Method::PUT, &path, Some(change)).await?;
    ensure!(refused.status == 403 && refused.code() == "role", "{:?}", refused.body);
    ensure!(instance.api().get_opt(&tenant.name).await?.is_none(), "the instance was made");
    tenant.erase().await
}
