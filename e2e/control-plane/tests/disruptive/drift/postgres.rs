//! What only Postgres knows: memberships, the registry, schemas, passwords.

use std::time::{Duration, Instant};

use anyhow::ensure;
use easycode_e2e::{holdings::Holdings, platform::Platform, tenant::TestTenant, wait::until};
use easycode_operator::stack::plan::secrets::service_secret;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

/// Longest time until a change in Postgres is undone: two looks, and some for the work.
const SURVEYED: Duration = Duration::from_secs(75);

/// Changes something of a tenant in Postgres as the superuser, and waits until the tenant has what it had.
async fn undone(entitlements: Value, database: &str, statement: impl Fn(&str) -> String) -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "drift", json!({ "entitlements": entitlements })).await?;
    let before = tenant.holdings().await?;
    platform.sql(database, &statement(&tenant.role())).await?;
    ensure!(tenant.holdings().await? != before, "the change changes nothing");
    as_before(&tenant, &before).await?;
    tenant.erase().await?;
    ensure!(tenant.holdings().await? == Holdings::default(), "something is left");
    Ok(())
}

async fn as_before(tenant: &TestTenant, before: &Holdings) -> anyhow::Result<()> {
    let started = Instant::now();
    until("it is as it was", SURVEYED, || async {
        let now = tenant.holdings().await?;
        ensure!(now == *before, "it is {now:#?}, and was {before:#?}");
        Ok(())
    })
    .await;
    println!("as it was after {:?}", started.elapsed());
    tenant.ready().await;
    Ok(())
}

#[tokio::test]
async fn a_dropped_grant_is_given_again() -> anyhow::Result<()> {
    undone(json!([{ "service": "crm" }]), "postgres", |role| format!("REVOKE {role} FROM svc_crm")).await
}

#[tokio::test]
async fn an_erasure_in_between_hides_no_change_of_another_tenant() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "drift", json!({})).await?;
    let leaving = TestTenant::create(&platform, "drift", json!({})).await?;
    let before = tenant.holdings().await?;
    platform.sql("postgres", &format!("REVOKE {} FROM svc_crm", tenant.role())).await?;
    // It ends with a look into Postgres, too.
    leaving.erase().await?;
    as_before(&tenant, &before).await?;
    tenant.erase().await
}

#[tokio::test]
async fn an_extra_grant_is_taken_back() -> anyhow::Result<()> {
    undone(json!([]), "postgres", |role| format!("GRANT {role} TO svc_crm")).await
}

#[tokio::test]
async fn a_tenant_that_was_struck_off_the_registry_is_entered_again() -> anyhow::Result<()> {
    undone(json!([]), "easycode", |role| format!("DELETE FROM easycode.tenant WHERE role = '{role}'")).await
}

#[tokio::test]
async fn a_dropped_schema_is_told_of_and_made_anew_only_when_asked_for() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "drift", json!({})).await?;
    // CRM may be about to read a password that another test has changed.
    tenant.serves(200).await;
    tenant.add_contact("Lovelace").await?;
    let before = tenant.holdings().await?;
    platform.sql("crm", &format!("DROP SCHEMA {} CASCADE", tenant.role())).await?;
    let told = tenant.condition("DatabaseReady", "False", "DataMissing").await;
    let ready = told.status.iter().flat_map(|status| &status.conditions).find(|one| one.type_ == "Ready");
    let message = ready.map(|ready| ready.message.as_str()).unwrap_or_default();
    ensure!(message.contains("crm") && message.contains("easycode.io/recreate-data=crm"), "{message}");
    ensure!(
        tenant.holdings().await?.schemas.get("crm").is_none_or(|schema| schema.owner.is_none()),
        "made anew unasked"
    );

    tenant.annotate("easycode.io/recreate-data", "crm").await?;
    tenant.ready().await;
    ensure!(tenant.holdings().await? == before, "it has something else than before");
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"] == json!([]), "{answer:?}");
    tenant.erase().await
}

#[tokio::test]
async fn a_changed_password_is_one_that_postgres_accepts_again() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let name = service_secret("crm");
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let patch = Patch::Merge(json!({ "stringData": { "password": "changed-by-hand" } }));
    secrets.patch(&name, &PatchParams::default(), &patch).await?;
    let started = Instant::now();
    until("the login of crm is as its Secret says", SURVEYED, || async {
        let login = platform.login_of("crm").await?;
        Ok(PgConnection::connect_with(&login).await?.close().await?)
    })
    .await;
    println!("accepted after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}
