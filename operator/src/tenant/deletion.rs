//! Deletes a tenant by its policy. Access is closed first; data goes only where the policy says so, only if it is this
//! tenant's, and never while the definition of tenants itself is being deleted.

use std::time::Duration;

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant,
    conditions::{self, Finding, reason},
    tenant::DeletionPolicy,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::controller::Action};

use super::{
    archive, config_map_name,
    erasure::{Erasure, Why},
    placement::placed_on,
    relocation, status,
};
use crate::{
    audit,
    kubernetes::{definition, finalizer, labels, object::Kind},
    postgres::{audit::Record, plan as database_plan, survey::TenantData},
    runtime::{context::Context, error::Error},
};

/// Takes the next step of a deletion.
pub async fn reconcile(tenant: &Tenant, context: &Context) -> Result<Action, Error> {
    if !finalizer::is_set(tenant) {
        return Ok(Action::await_change());
    }
    if let Some(message) = definition::going(&context.client, "tenants.easycode.io", "tenants").await? {
        hold(tenant, reason::CRD_DELETING, &message, context).await?;
        return Ok(Action::requeue(Duration::from_secs(30)));
    }
    let Some(home) = placed_on(tenant) else {
        finalizer::release(tenant, &context.client).await?;
        return Ok(Action::await_change());
    };
    // A move under way is undone, or finished, and after one the data is in more than one place.
    if let Some(waits) = relocation::settle(tenant, &home, context).await? {
        hold(tenant, reason::DELETING, &waits, context).await?;
        return Ok(Action::requeue(Duration::from_secs(2)));
    }
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
    let account = context.ledger.account(tenant, &database);
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
        database.record(&account.records).await?;
        finalizer::release(tenant, &context.client).await?;
        return Ok(Action::await_change());
    }
    let erasure = Erasure { tenant, home: &home, role: &role, database: &database, context, why: Why::Deleted };
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
            database.bring(&role, steps, account).await?;
            let note = format!(
                "access is closed, the data is kept as {}; a tenant of this name annotated with {}={uid} takes it over",
                role.as_str(),
                labels::UNDELETE
            );
            context.events.normal(tenant, "Delete", "DataRetained", note).await;
        }
        DeletionPolicy::Archive => {
            database.bring(&role, closed(&data), account).await?;
            match archive::progress(tenant, &home, &data, context).await? {
                archive::Progress::Done => {
                    let services = data.schemas.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let words = format!("write the last dump of {services} to the archive of {home}");
                    let archived = Record::of_act(&audit::subject(tenant), "Archive", &words, Some("archive"));
                    database.record(&[archived]).await?;
                    erasure.run(&data).await?;
                }
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
        DeletionPolicy::Delete => erasure.run(&data).await?,
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
