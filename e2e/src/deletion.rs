//! What is left of a tenant that is deleted, and what is told of it.

use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};

use crate::{tenant::TestTenant, wait::until};

/// The uid of a tenant.
pub async fn uid(tenant: &TestTenant) -> anyhow::Result<String> {
    tenant.get().await?.metadata.uid.context("no uid")
}

/// Whether role, schemas and registration are all gone from the platform's Postgres.
pub async fn erased(tenant: &TestTenant) -> anyhow::Result<()> {
    let role = tenant.role();
    for database in ["crm", "tenant_service"] {
        let left = format!(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = '{role}')
                  + (SELECT count(*) FROM easycode.tenant_schema WHERE name = '{role}')"
        );
        ensure!(tenant.platform.sql(database, &left).await? == "0", "{role} is left in {database}");
    }
    let left = format!(
        "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = '{role}')
              + (SELECT count(*) FROM easycode.tenant WHERE role = '{role}')
              + (SELECT count(*) FROM easycode.withdrawn WHERE role = '{role}')"
    );
    ensure!(tenant.platform.sql("easycode", &left).await? == "0", "{role} is left as a role or in the registry");
    Ok(())
}

/// Waits for a warning about the tenant, with the words.
pub async fn warned(tenant: &TestTenant, reason: &str, words: &str) {
    let events: Api<Event> = Api::all(tenant.platform.cluster.client.clone());
    let about = format!("regarding.kind=Tenant,regarding.name={},reason={reason}", tenant.name);
    until(&format!("a warning {reason} about {}: {words}", tenant.name), Duration::from_secs(20), || async {
        let found = events.list(&ListParams::default().fields(&about)).await?.items;
        let said = |event: &Event| event.note.as_ref().is_some_and(|note| note.contains(words));
        let warning = found.iter().any(|event| event.type_.as_deref() == Some("Warning") && said(event));
        ensure!(warning, "there is {:?}", found.iter().map(|event| &event.note).collect::<Vec<_>>());
        Ok(())
    })
    .await;
}

/// Waits until the tenant is told that data of its name is another's, and how it would take that over: by the owner's uid,
/// or whatever stands for it.
pub async fn told_of_data(tenant: &TestTenant, owner: &str) -> anyhow::Result<()> {
    let blocked = tenant.condition("Ready", "False", "RetainedData").await;
    let conditions = blocked.status.map(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|one| one.type_ == "Ready").context("no Ready")?;
    ensure!(ready.message.contains(&format!("easycode.io/undelete={owner}")), "no way out: {}", ready.message);
    Ok(())
}

/// The family names of the contacts in a tenant's schema.
pub async fn rows(tenant: &TestTenant) -> anyhow::Result<String> {
    let names = format!("SELECT string_agg(family_name, ',' ORDER BY id) FROM {}.contact", tenant.role());
    tenant.platform.sql("crm", &names).await
}
