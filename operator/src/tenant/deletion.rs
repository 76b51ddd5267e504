//! Deletes a tenant by its policy. Access is closed first; data goes only where the policy says so, only if it is this
//! tenant's, and never while the definition of tenants itself is being deleted.

use std::{collections::BTreeSet, time::Duration};

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant,
    conditions::{self, Finding, reason},
    tenant::DeletionPolicy,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::controller::Action};
use serde_json::json;

use super::{archive, config_map_name, placement::placed_on, status};
use crate::{
    kubernetes::{
        definition, finalizer, labels,
        object::{Kind, Planned},
    },
    postgres::{self, plan as database_plan, survey::TenantData},
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// Takes the next step of a deletion.
pub async fn reconcile(tenant: &Tenant, context: &Context) -> Result<Action, Error> {
    if !finalizer::is_set(tenant) {
        return Ok(Action::await_change());
    }
    if definition::is_going(&context.client, "tenants.easycode.io").await? {
        let message = "the definition of tenants is being deleted; nothing is torn down for that. docs/runbook.md says under DefinitionDeleting how to get it back";
        hold(tenant, reason::CRD_DELETING, message, context).await?;
        return Ok(Action::requeue(Duration::from_secs(30)));
    }
    let Some(home) = placed_on(tenant) else {
        finalizer::release(tenant, &context.client).await?;
        return Ok(Action::await_change());
    };
    let namespace = home.namespace();
    if context.caches.get(Kind::ConfigMap, &namespace, &config_map_name(tenant)).is_some() {
        context.applier.delete(Kind::ConfigMap, &namespace, &config_map_name(tenant)).await?;
    }
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else {
        finalizer::release(tenant, &context.client).await?;
        return Ok(Action::await_change());
    };
    let Some(database) = context.databases.get(&home) else {
        if !context.exists(&home) {
            let note = format!("{home} does not exist any more; if its database does, the data is still there");
            context.events.warning(tenant, "Delete", reason::PLATFORM_NOT_FOUND, note).await;
            finalizer::release(tenant, &context.client).await?;
            return Ok(Action::await_change());
        }
        let message = format!("the Postgres of {home} is not connected; deletion goes on when it is");
        hold(tenant, reason::PLATFORM_NOT_READY, &message, context).await?;
        return Ok(Action::requeue(Duration::from_secs(10)));
    };
    let data = database.tenant(&role);
    if !is_of(tenant, &data) {
        // Nothing was made for this tenant, or the data is another's: a deleted one's of the same name.
        if !data.schemas.is_empty() {
            let note = format!(
                "{} in the database is not this tenant's ({}), so its data stays untouched",
                role.as_str(),
                data.uid.as_deref().unwrap_or(labels::UNREGISTERED)
            );
            context.events.warning(tenant, "Delete", reason::RETAINED_DATA, note).await;
        }
        finalizer::release(tenant, &context.client).await?;
        return Ok(Action::await_change());
    }
    match tenant.spec.deletion_policy {
        DeletionPolicy::Retain => {
            let uid = tenant.uid().unwrap_or_default();
            let mut steps = Vec::new();
            if data.uid.is_none() {
                // Without an entry nobody could tell later whose data it is.
                let display_name = tenant.spec.display_name.clone();
                steps.push(database_plan::Step::Register { uid: uid.clone(), display_name });
            }
            steps.extend(database_plan::retain(&TenantData { uid: Some(uid.clone()), ..data.clone() }));
            database.bring(&role, steps).await?;
            let note = format!(
                "access is closed, the data is kept as {}; a tenant of this name annotated with {}={uid} takes it over",
                role.as_str(),
                labels::UNDELETE
            );
            context.events.normal(tenant, "Delete", "DataRetained", note).await;
        }
        DeletionPolicy::Archive => {
            database.bring(&role, closed(&data)).await?;
            match archive::progress(tenant, &home, &data, context).await? {
                archive::Progress::Done => erase(tenant, &home, &role, &data, &database, context).await?,
                archive::Progress::Running => {
                    hold(tenant, reason::DELETING, "the last dump is being archived", context).await?;
                    return Ok(Action::requeue(Duration::from_secs(2)));
                }
                archive::Progress::Failed(message) => {
                    hold(tenant, reason::ARCHIVE_FAILED, &message, context).await?;
                    return Ok(Action::requeue(Duration::from_mins(1)));
                }
            }
        }
        DeletionPolicy::Delete => erase(tenant, &home, &role, &data, &database, context).await?,
    }
    finalizer::release(tenant, &context.client).await?;
    Ok(Action::await_change())
}

/// Whether the data is this tenant's: by the registry, or, where its entry was lost, by what the status says it had.
fn is_of(tenant: &Tenant, data: &TenantData) -> bool {
    match &data.uid {
        Some(owner) => tenant.uid().as_ref() == Some(owner),
        None => tenant.status.as_ref().is_some_and(|status| !status.services.is_empty()),
    }
}

/// The steps that close access and leave all data.
fn closed(data: &TenantData) -> Vec<database_plan::Step> {
    database_plan::retain(data).into_iter().filter(|step| *step != database_plan::Step::Retain).collect()
}

/// Erases, checks by a look at the database that nothing is left, writes a receipt, and forgets the tenant: in this order, so
/// that a crash leaves no erasure without a receipt.
async fn erase(
    tenant: &Tenant,
    home: &Home,
    role: &Identifier,
    data: &TenantData,
    database: &postgres::Database,
    context: &Context,
) -> Result<(), Error> {
    database.bring(role, database_plan::erase(data)).await?;
    database.refresh().await?;
    let left = database.tenant(role);
    if !left.schemas.is_empty() {
        let left = left.schemas.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(
            postgres::Error::Refused(format!("after erasure {} still has schemas in {left}", role.as_str())).into()
        );
    }
    let namespace = &home.namespace();
    let receipt = receipt(tenant, home, role, data, &database.services());
    // One from before a crash lists what was erased then.
    if context.caches.get(Kind::ConfigMap, namespace, &receipt.name).is_none() {
        context.applier.apply(&receipt, &context.caches).await?;
    }
    database.bring(role, database_plan::forget(&left)).await?;
    database.refresh().await?;
    if database.tenant(role).role_exists {
        let note = format!(
            "{} could not be dropped, because another tenant's role granted it something; it has no data, no members and no login",
            role.as_str()
        );
        context.events.warning(tenant, "Delete", "RoleKept", note).await;
    }
    let note = format!(
        "{} schemas of {} were erased; receipt: ConfigMap {namespace}/{}",
        data.schemas.len(),
        role.as_str(),
        receipt.name
    );
    context.events.normal(tenant, "Delete", "DataErased", note).await;
    Ok(())
}

fn receipt(tenant: &Tenant, home: &Home, role: &Identifier, data: &TenantData, databases: &[&str]) -> Planned {
    let uid = tenant.uid().unwrap_or_default();
    // After a crash amid the erasure the database shows only what is left; the status still tells all that was there.
    let recorded = tenant.status.iter().flat_map(|status| &status.services).map(|data| &data.service);
    let erased: BTreeSet<_> = data.schemas.keys().chain(recorded).collect();
    let document = json!({
        "tenant": tenant.name_any(),
        "uid": uid,
        "displayName": tenant.spec.display_name,
        "policy": tenant.spec.deletion_policy,
        "role": role.as_str(),
        "erasedSchemas": erased,
        "requestedAt": tenant.metadata.deletion_timestamp.as_ref().map(|time| time.0.to_string()),
        "erasedAt": Timestamp::now().to_string(),
        "verified": "after the erasure no schema of the role was found in the databases",
        "databases": databases,
    });
    let name = format!("receipt-{}-{}", tenant.name_any(), uid.chars().take(8).collect::<String>());
    let body = json!({
        "metadata": { "labels": home.labels("erasure-receipt") },
        "data": { "receipt.json": document.to_string() },
    });
    Planned::new(Kind::ConfigMap, &home.namespace(), &name, body)
}

/// Says what the deletion waits for.
pub async fn hold(tenant: &Tenant, reason: &'static str, message: &str, context: &Context) -> Result<(), Error> {
    let before = tenant.status.clone().unwrap_or_default();
    let findings = [
        Finding::new(conditions::READY, Some(false), reason, message),
        Finding::new(conditions::PROGRESSING, Some(true), reason, message),
        Finding::new(conditions::DEGRADED, Some(reason != reason::DELETING), reason, message),
    ];
    let mut after = before.clone();
    after.conditions =
        conditions::merge(&before.conditions, &findings, tenant.metadata.generation, &Time(Timestamp::now()));
    after.observed_generation = tenant.metadata.generation;
    status::write(tenant, &after, context).await?;
    if reason == reason::DELETING {
        context.events.normal(tenant, "Delete", reason, message.to_owned()).await;
    } else {
        context.events.warning(tenant, "Delete", reason, message.to_owned()).await;
    }
    Ok(())
}
