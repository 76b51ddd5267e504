//! Runs the migrations that are due, as one Job a service.

use std::{collections::BTreeMap, time::Duration};

use easycode_crds::{
    conditions::{self, Finding, reason},
    release::ReleasedService,
};
use kube::api::DynamicObject;

use super::{
    super::{blueprint::Blueprint, plan::migration},
    Applied, Stop, write,
};
use crate::{
    kubernetes::object::Kind,
    postgres::Database,
    runtime::{context::Context, error::Error},
};

/// Runs the migrations that are due. Returns the services whose databases are at the release's version.
pub(super) async fn migrate<'a>(
    blueprint: &Blueprint<'a>,
    database: &Database,
    context: &Context,
    applied: &mut Applied,
) -> Result<Vec<&'a ReleasedService>, Stop> {
    let namespace = blueprint.namespace();
    let is_due = |released: &ReleasedService, published: &BTreeMap<String, i32>| {
        published.get(&released.name).is_none_or(|version| *version < released.schema_version)
            || !database.behind(&released.name).is_empty()
    };
    let job_of = |released: &ReleasedService| {
        context.caches.get(Kind::Job, &namespace, &migration::job_name(blueprint, released))
    };
    let due = |published: &BTreeMap<String, i32>| -> Vec<&'a ReleasedService> {
        blueprint.services().into_iter().filter(|released| is_due(released, published)).collect()
    };
    // A finished job has changed what the last survey saw.
    if due(&database.published())
        .iter()
        .any(|released| job_of(released).is_some_and(|job| job_state(&job) == Some(true)))
    {
        database.refresh().await?;
    }
    let (mut waiting, mut failed) = (Vec::new(), Vec::new());
    for released in due(&database.published()) {
        let job = job_of(released);
        match job.as_deref().map(job_state) {
            None => {
                write(&[migration::job(blueprint, released)], context, applied).await?;
                waiting.push(released.name.clone());
            }
            Some(None) => waiting.push(released.name.clone()),
            Some(Some(succeeded)) => {
                let name = migration::job_name(blueprint, released);
                failed.push(if succeeded {
                    format!(
                        "{}: its image publishes version {}, the release says {}",
                        released.name,
                        database.published().get(&released.name).copied().unwrap_or_default(),
                        released.schema_version
                    )
                } else {
                    format!("{}: job {namespace}/{name} failed, read its log", released.name)
                });
                retry_later(&namespace, &name, job.as_deref(), context, applied).await?;
            }
        }
    }
    let ready: Vec<_> =
        blueprint.services().into_iter().filter(|released| !is_due(released, &database.published())).collect();
    let finding = |status, reason, message: String| Finding::new(conditions::MIGRATED, status, reason, message);
    applied.findings.push(if !failed.is_empty() {
        finding(
            Some(false),
            reason::MIGRATION_FAILED,
            format!("{}; it is tried again every few minutes", failed.join("; ")),
        )
    } else if !waiting.is_empty() {
        finding(Some(false), reason::MIGRATING, format!("migrating {}", waiting.join(", ")))
    } else {
        finding(Some(true), reason::AS_PLANNED, "every schema is at the release's version".to_owned())
    });
    Ok(ready)
}

/// Whether a job has succeeded or failed; `None` while it runs.
fn job_state(job: &DynamicObject) -> Option<bool> {
    let conditions = job.data["status"]["conditions"].as_array()?;
    let has = |type_: &str| conditions.iter().any(|one| one["type"] == type_ && one["status"] == "True");
    if has("Complete") {
        Some(true)
    } else if has("Failed") {
        Some(false)
    } else {
        None
    }
}

/// Clears a finished job away after a pause, so that the next look makes it anew.
async fn retry_later(
    namespace: &str,
    name: &str,
    job: Option<&DynamicObject>,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_mins(2);
    let finished = job
        .and_then(|job| {
            let conditions = job.data["status"]["conditions"].as_array()?;
            conditions
                .iter()
                .filter_map(|one| one["lastTransitionTime"].as_str()?.parse::<jiff::Timestamp>().ok())
                .max()
        })
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let age = Duration::try_from(jiff::Timestamp::now().duration_since(finished)).unwrap_or_default();
    if age >= PAUSE {
        context.applier.delete(Kind::Job, namespace, name).await?;
        applied.next_look = Some(Duration::from_secs(5));
    } else {
        applied.next_look = Some(PAUSE.checked_sub(age).unwrap_or_default() + Duration::from_secs(1));
    }
    Ok(())
}
