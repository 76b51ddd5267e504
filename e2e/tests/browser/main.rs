//! EasyCode's pages in a real browser: `e2e/browser/` looks at them with Playwright and axe. Pictures of every page are in
//! `target/browser/`, in the light and in the dark, on a desk and on a phone.

use std::{fs, net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, USER_SERVICE};
use easycode_e2e::{
    cluster::{Cluster, checkout},
    operator::NAMESPACE,
    people::{ADMINISTRATOR, PASSWORD, tenant_with_administrator},
    platform::Platform,
    reach::{reach, reach_pod},
    tenant::{TestTenant, fresh_name, tenants},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::process::Command;

/// Where the console says that it is, and who knows the staff.
const CONSOLE: &str = "http://localhost:8088";
const PROVIDER: &str = "http://localhost:9998";
/// Where a company's people find their pages.
const PAGES: &str = "http://localhost:8089";
/// Longest time for all of it.
const PATIENCE: Duration = Duration::from_mins(8);

#[tokio::test]
async fn staff_do_their_work_in_the_console() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let cluster = platform.cluster.clone();
    let selector = "app.kubernetes.io/name=easycode-client-admin";
    let console = reach_pod(&cluster, NAMESPACE, selector, 8080).await?;
    let provider = reach_pod(&cluster, NAMESPACE, selector, 9998).await?;
    let company = fresh_name("browser");
    // As a pipeline applies one.
    let owned = TestTenant { platform, name: format!("{company}-owned") };
    owned.apply(json!({ "limits": { "users": 7 } })).await?;
    owned.ready().await;
    let password = checkout().join("target/demo/people/password");
    let password =
        fs::read_to_string(&password).with_context(|| format!("reading {}; run `make deploy`", password.display()))?;
    let known = [
        ("EASYCODE_BROWSER_OWN", CONSOLE),
        ("EASYCODE_BROWSER_FOREIGN", PROVIDER),
        ("EASYCODE_CONSOLE", CONSOLE),
        ("EASYCODE_STAFF_PASSWORD", password.trim()),
        ("EASYCODE_COMPANY", &company),
        ("EASYCODE_OWNED_COMPANY", &owned.name),
    ];
    let outcome = run("console", &[(CONSOLE, console), (PROVIDER, provider)], &known).await;
    // Whatever was not let go in the pages.
    let_go(&cluster, &company).await?;
    outcome
}

#[tokio::test]
async fn a_companys_people_use_its_pages() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let address = reach(&platform.cluster, &platform.namespace(), USER_SERVICE, API_PORT).await?;
    let spec = json!({ "displayName": "Fjord Bakery", "limits": { "users": 50 }, "entitlements": [
        { "service": "crm" }, { "service": "pos" }, { "service": "finance" }, { "service": "inventory" },
        { "service": "procurement", "modules": ["approvals"] },
    ] });
    let (tenant, _) = tenant_with_administrator(&platform, "browser", spec).await?;
    let known = [
        ("EASYCODE_BROWSER_OWN", PAGES),
        ("EASYCODE_PAGES", PAGES),
        ("EASYCODE_COMPANY", &tenant.name),
        ("EASYCODE_ADMINISTRATOR", ADMINISTRATOR),
        ("EASYCODE_PASSWORD", PASSWORD),
    ];
    let outcome = run("company", &[(PAGES, address)], &known).await;
    tenant.erase().await?;
    outcome
}

/// Runs the specs of a name in the browser, which is led to the addresses.
async fn run(specs: &str, hosts: &[(&str, SocketAddr)], known: &[(&str, &str)]) -> anyhow::Result<()> {
    let folder = checkout().join("e2e/browser");
    ensure!(folder.join("node_modules").exists(), "Playwright is missing; run `e2e/tools.sh browser`");
    let rules = hosts.iter().map(|(origin, address)| format!("MAP {} {address}", origin.trim_start_matches("http://")));
    let mut browser = Command::new("npx");
    browser
        .current_dir(folder)
        .args(["--no-install", "playwright", "test", specs])
        .env("EASYCODE_BROWSER_HOSTS", rules.collect::<Vec<_>>().join(","))
        .env("EASYCODE_BROWSER_SPECS", specs)
        .envs(known.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let status = tokio::time::timeout(PATIENCE, browser.status()).await.context("the browser took too long")??;
    ensure!(status.success(), "{specs}: see what is above, and the pictures in target/browser");
    Ok(())
}

/// Deletes the tenants that the specs have made under names that begin with the company's.
async fn let_go(cluster: &Cluster, company: &str) -> anyhow::Result<()> {
    let all: Api<easycode_crds::Tenant> = tenants(cluster);
    for tenant in all.list(&ListParams::default()).await? {
        let name = tenant.name_any();
        if name.starts_with(company) {
            let confirmed = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": name } } });
            all.patch(&name, &PatchParams::default(), &Patch::Merge(confirmed)).await?;
            all.delete(&name, &DeleteParams::default()).await?;
        }
    }
    Ok(())
}
