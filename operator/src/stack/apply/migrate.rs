//! Runs the migrations that are due, as one Job a service.

use std::{collections::BTreeMap, time::Duration};

use easycode_crds::{
    conditions::{self, Finding, reason},
    release::ReleasedService,
};
use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use tracing::debug;

use super::{
    super::{blueprint::Blueprint, plan::migration},
    Applied, Stop, pods, write,
};
use crate::{
    kubernetes::{job, object::Kind},
    postgres::Database,
    runtime::{context::Context, error::Error},
};

/// After how long a job whose pod was not admitted, by a quota mostly, is made anew: it would be tried by Kubernetes less and less
/// often, up to minutes after there is room.
const UNADMITTED: Duration = Duration::from_mins(1);

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
    let jobs: Vec<_> = due(&database.published()).into_iter().filter_map(job_of).collect();
    if jobs.iter().any(|job| job::succeeded(job) == Some(true)) {
        // It has changed what the last survey saw.
        database.refresh().await?;
    } else if jobs.iter().any(|job| job::succeeded(job).is_none()) {
        // It may be through already, which its Job tells a while later. If not, the Job will tell.
        if let Err(error) = database.refresh().await {
            debug!(%error, "a migration could not be looked at");
        }
    }
    withdraw(blueprint, context, applied).await?;
    let (mut waiting, mut failed, mut begun) = (Vec::new(), Vec::new(), None);
    for released in due(&database.published()) {
        let job = job_of(released);
        match job.as_deref().map(job::succeeded) {
            None => {
                write(&[migration::job(blueprint, released)], context, applied).await?;
                waiting.push(released.name.clone());
                begun = Some(Duration::ZERO);
            }
            Some(None) => {
                waiting.push(released.name.clone());
                let since = job.as_deref().map(age).unwrap_or_default();
                if since >= UNADMITTED && job.as_deref().is_some_and(job::has_no_pod) {
                    context.applier.delete(Kind::Job, &namespace, &migration::job_name(blueprint, released)).await?;
                }
                begun = begun.into_iter().chain([since]).min();
            }
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
    let mut trouble = None;
    if let Some(since) = begun {
        // Neither the database nor pods are watched: they are looked at, the less often the longer it takes.
        let pause = (since / 4).clamp(Duration::from_millis(500), Duration::from_secs(10));
        applied.next_look = applied.next_look.into_iter().chain([pause]).min();
        if !since.is_zero() {
            trouble = pods::trouble(&namespace, pods::OF_MIGRATIONS, context).await?;
        }
    } else if !failed.is_empty() {
        trouble = pods::unresolved(&namespace, pods::OF_MIGRATIONS, context).await?;
    }
    applied.findings.push(if let Some(trouble) = trouble {
        finding(Some(false), trouble.reason, trouble.message)
    } else if !failed.is_empty() {
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

/// Deletes jobs of another release that have not ended: it was taken back.
async fn withdraw(blueprint: &Blueprint<'_>, context: &Context, applied: &mut Applied) -> Result<(), Error> {
    let namespace = blueprint.namespace();
    let wanted: Vec<_> =
        blueprint.services().into_iter().map(|released| migration::job_name(blueprint, released)).collect();
    for job in context.caches.list(Kind::Job, &namespace) {
        let migrates = job.labels().get("app.kubernetes.io/component").is_some_and(|one| one == "migration");
        if migrates && !wanted.contains(&job.name_any()) && job::succeeded(&job).is_none() {
            context.applier.delete(Kind::Job, &namespace, &job.name_any()).await?;
            applied.changed = true;
        }
    }
    Ok(())
}

/// Time since the job was made.
fn age(job: &DynamicObject) -> Duration {
    let made = job.creation_timestamp().map(|time| time.0);
    made.and_then(|made| Duration::try_from(Timestamp::now().duration_since(made)).ok()).unwrap_or_default()
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
            conditions.iter().filter_map(|one| one["lastTransitionTime"].as_str()?.parse::<Timestamp>().ok()).max()
        })
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let age = Duration::try_from(Timestamp::now().duration_since(finished)).unwrap_or_default();
    if age >= PAUSE {
        context.applier.delete(Kind::Job, namespace, name).await?;
        applied.next_look = Some(Duration::from_secs(5));
    } else {
        applied.next_look = Some(PAUSE.checked_sub(age).unwrap_or_default() + Duration::from_secs(1));
    }
    Ok(())
}
