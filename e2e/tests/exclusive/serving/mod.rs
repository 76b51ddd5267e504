//! What a ready platform serves: the examples as they are described, and the API as it is documented.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use easycode_contract::runtime::{ADMIN_PORT, API_PORT, TENANT_SERVICE, USER_SERVICE};
use easycode_e2e::{
    platform::{Answer, Platform},
    reach::reach_pod,
    tenant::TestTenant,
    tokens,
};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use reqwest::Method;
use serde_json::{Value, json};

const SERVICES: [&str; 7] = ["crm", "finance", "inventory", "pos", "procurement", TENANT_SERVICE, USER_SERVICE];

/// One of the example tenants, once it is ready.
async fn example(name: &str) -> anyhow::Result<TestTenant> {
    let tenant = TestTenant { platform: Platform::example().await?, name: name.to_owned() };
    tenant.ready().await;
    Ok(tenant)
}

#[tokio::test]
async fn aurora_is_served_crm_with_campaigns() -> anyhow::Result<()> {
    let aurora = example("aurora").await?;
    for path in ["/companies", "/contacts", "/deals", "/campaigns", "/search?q=x"] {
        let answer = aurora.read(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn cirrus_is_refused_crm_and_has_its_settings() -> anyhow::Result<()> {
    let cirrus = example("cirrus").await?;
    let refused = cirrus.read("/contacts").await?;
    ensure!((refused.status, refused.code()) == (403, "not-entitled"), "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("crm"), "it must say to what: {detail}");

    let administrator = tokens::token("cirrus", &["tenant-admin"])?;
    let set = |method, body| cirrus.platform.ask(TENANT_SERVICE, method, "/settings/ui", &administrator, body);
    let made = set(Method::PUT, Some(json!({ "theme": { "appearance": "dark" } }))).await?;
    ensure!(made.status == 200, "{made:?}");
    let settings = cirrus.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body[0]["value"]["theme"]["appearance"] == "dark", "{settings:?}");
    let taken_back = set(Method::DELETE, None).await?;
    ensure!(taken_back.status == 204, "{taken_back:?}");
    let settings = cirrus.ask(TENANT_SERVICE, Method::GET, "/settings", None).await?;
    ensure!(settings.body == json!([]), "{settings:?}");
    Ok(())
}

#[tokio::test]
async fn metrics_and_probes_are_on_a_port_that_no_service_exposes() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let services: Api<Service> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    for service in SERVICES {
        let api = platform.service(service).await?;
        for path in ["livez", "readyz", "metrics"] {
            let url = reqwest::Url::parse(&api)?.join(&format!("/{path}"))?;
            let answer = Answer::of(easycode_kit::http::client().get(url)).await?;
            ensure!(answer.status == 404, "{service}/{path}: {answer:?}");
        }
        let exposed = services.get(service).await?.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let exposed: Vec<_> = exposed.iter().map(|port| port.port).collect();
        ensure!(exposed == [i32::from(API_PORT)], "{service} exposes {exposed:?}");

        let selector = format!("app.kubernetes.io/name={service},app.kubernetes.io/component=service");
        let admin = reach_pod(&platform.cluster, &platform.namespace(), &selector, ADMIN_PORT).await?;
        for (path, expected) in [("livez", "ok"), ("readyz", "ok"), ("metrics", "http_requests_total")] {
            let text = reqwest::get(format!("http://{admin}/{path}")).await?.error_for_status()?.text().await?;
            ensure!(text.contains(expected), "{service}/{path}: {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_get_tenants_says_who_is_well_and_why_not() -> anyhow::Result<()> {
    let aurora = example("aurora").await?;
    let suspended = TestTenant::apply_new(&aurora.platform, "table", json!({ "state": "Suspended" })).await?;
    suspended.condition("Ready", "False", "Suspended").await;

    let request = http::Request::get("/apis/easycode.io/v1alpha1/tenants")
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table: Value = aurora.platform.cluster.client.request(request).await?;
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .context("no table")?
        .iter()
        .map(|column| (column["name"].as_str().unwrap_or_default(), &column["priority"]))
        .collect();
    let shown: Vec<_> = columns.iter().filter(|(_, priority)| **priority == 0).map(|(name, _)| *name).collect();
    ensure!(shown == ["Name", "Ready", "Reason", "State", "Model", "Platform", "Instance", "Age"], "{shown:?}");

    let row = |name: &str| -> anyhow::Result<BTreeMap<&str, &Value>> {
        let rows = table["rows"].as_array().context("no rows")?;
        let row = rows.iter().find(|row| row["cells"][0] == name).with_context(|| format!("no row of {name}"))?;
        let cells = row["cells"].as_array().context("no cells")?;
        Ok(columns.iter().map(|(column, _)| *column).zip(cells).collect())
    };
    let well = row("aurora")?;
    ensure!(well["Ready"] == "True" && well["Platform"] == "eu1", "{well:?}");
    let unwell = row(&suspended.name)?;
    ensure!(unwell["Ready"] == "False" && unwell["Reason"] == "Suspended", "{unwell:?}");
    ensure!(unwell["Message"].as_str().is_some_and(|message| message.contains("Active")), "no way out: {unwell:?}");
    suspended.erase().await
}
