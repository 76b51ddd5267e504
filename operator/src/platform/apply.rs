//! Brings a platform up, stage by stage, and says how far it came.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use easycode_crds::{
    SharedPlatform,
    conditions::{self, Finding, reason},
    platform::{Provider, ServiceStatus},
    release::ReleasedService,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    observe::Observed,
    plan::{Blueprint, Operator, base, ingress, migration, network, postgres as embedded, secrets, service, workload},
};
use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    postgres::{Database, credentials::Credentials},
    runtime::{context::Context, error::Error},
};

/// How far a platform came.
#[derive(Default)]
pub struct Applied {
    /// What was found at each stage that was reached.
    pub findings: Vec<Finding>,
    /// What runs.
    pub services: Vec<ServiceStatus>,
    /// Name of the release, once all its workloads run.
    pub running: Option<String>,
    /// Whether anything was written.
    pub changed: bool,
    /// Whether the database was connected just now.
    pub connected: bool,
    /// A fault outside that ended the work early.
    pub fault: Option<Error>,
    /// When to look again, if sooner than usual.
    pub next_look: Option<Duration>,
    /// Workloads that wait with a new rendering.
    pub pending: Vec<String>,
}

/// Why a stage was not passed.
enum Stop {
    /// Something to wait for, or to be mended by a person; told in the findings.
    Wait,
    /// A fault outside.
    Fault(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Applies all stages as far as they go.
pub async fn apply(platform: &SharedPlatform, observed: &Observed, context: &Arc<Context>) -> Applied {
    let mut applied = Applied::default();
    let Some(release) = &observed.release else {
        applied.findings.push(Finding::new(
            conditions::DATABASE_READY,
            None,
            reason::RELEASE_NOT_FOUND,
            format!("Release {} does not exist; create it, or name another in spec.release", platform.spec.release),
        ));
        return applied;
    };
    let operator = Operator {
        namespace: context.options.namespace.clone(),
        service_account: context.options.service_account.clone(),
        namespace_role: context.options.namespace_role.clone(),
    };
    let blueprint = Blueprint::new(platform, release, &operator);
    let running = observed.running.as_deref().map(|running| Blueprint { release: running, ..blueprint });
    if let Err(Stop::Fault(fault)) = stages(platform, &blueprint, running.as_ref(), context, &mut applied).await {
        applied.fault = Some(fault);
    }
    applied
}

async fn stages(
    platform: &SharedPlatform,
    blueprint: &Blueprint<'_>,
    running: Option<&Blueprint<'_>>,
    context: &Arc<Context>,
    applied: &mut Applied,
) -> Result<(), Stop> {
    claim(platform, context).await?;
    write(&base::namespace(blueprint), context, applied).await?;
    let present = read_secrets(&blueprint.namespace(), context).await?;
    let server = server(blueprint, &present, context, applied).await?;
    let (logins, credentials) = secrets::logins(blueprint, &server, &present).map_err(crate::postgres::Error::from)?;
    write(&credentials, context, applied).await?;
    let mut ground = base::identities(blueprint);
    ground.extend(network::policies(blueprint, server.port));
    write(&ground, context, applied).await?;
    let database = match connect(blueprint, server, &logins, context, applied).await {
        Ok(database) => database,
        Err(stop) => {
            maintain(blueprint, running, &[], context, applied).await?;
            return Err(stop);
        }
    };

    let ready = migrate(blueprint, &database, context, applied).await?;
    maintain(blueprint, running, &ready, context, applied).await?;
    serve(blueprint, &ready, &database, context, applied).await?;
    if let Some(ingress) = ingress::ingress(blueprint) {
        write(&[ingress], context, applied).await?;
    } else if context.caches.get(Kind::Ingress, &blueprint.namespace(), ingress::NAME).is_some() {
        context.applier.delete(Kind::Ingress, &blueprint.namespace(), ingress::NAME).await?;
        applied.changed = true;
    }
    prune(blueprint, context, applied).await
}

async fn write(objects: &[Planned], context: &Context, applied: &mut Applied) -> Result<(), Error> {
    for object in objects {
        applied.changed |= context.applier.apply(object, &context.caches).await?;
    }
    Ok(())
}

async fn claim(platform: &SharedPlatform, context: &Context) -> Result<(), Error> {
    if platform.finalizers().iter().any(|one| one == labels::FINALIZER) {
        return Ok(());
    }
    let mut finalizers = platform.finalizers().to_vec();
    finalizers.push(labels::FINALIZER.to_owned());
    let patch = json!({"metadata": { "resourceVersion": platform.resource_version(), "finalizers": finalizers }});
    let api: Api<SharedPlatform> = Api::all(context.client.clone());
    api.patch_metadata(&platform.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Secrets are read when needed, not watched: the operator may read them only in namespaces that it made.
async fn read_secrets(namespace: &str, context: &Context) -> Result<secrets::Secrets, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    // Not by label: a password must outlive the loss of one.
    let found = api.list(&ListParams::default()).await?;
    Ok(found.into_iter().map(|secret| (secret.name_any(), secret.data.unwrap_or_default())).collect())
}

/// Where the Postgres is; an embedded one is made if it is not there.
async fn server(
    blueprint: &Blueprint<'_>,
    present: &secrets::Secrets,
    context: &Context,
    applied: &mut Applied,
) -> Result<Credentials, Stop> {
    if blueprint.spec.database.provider == Provider::External {
        return external(blueprint, context, applied).await;
    }
    let namespace = blueprint.namespace();
    let password = secrets::password(present, embedded::OPERATOR_SECRET);
    let credentials = embedded::operator_credentials(&namespace, &password);
    let secret = secrets::planned(blueprint, embedded::OPERATOR_SECRET, &credentials, present);
    write(secret.as_slice(), context, applied).await?;
    let live = context.caches.get(Kind::StatefulSet, &namespace, embedded::NAME);
    let (objects, pending) = embedded::objects(blueprint, live.as_deref().map(workload::annotations).as_ref());
    if pending {
        applied.pending.push("StatefulSet postgres".to_owned());
    }
    write(&objects, context, applied).await?;
    Ok(credentials)
}

async fn external(blueprint: &Blueprint<'_>, context: &Context, applied: &mut Applied) -> Result<Credentials, Stop> {
    let Some(reference) = blueprint.spec.database.external.as_ref().map(|external| &external.secret_ref) else {
        return Err(Stop::Wait);
    };
    let mut invalid = |why: String| {
        applied.next_look = Some(Duration::from_secs(15));
        let message = format!("Secret {}/{}: {why}", reference.namespace, reference.name);
        applied.findings.push(Finding::new(conditions::DATABASE_READY, Some(false), reason::SECRET_INVALID, message));
        Stop::Wait
    };
    let allowed = [context.options.namespace.clone(), blueprint.namespace()];
    if !allowed.contains(&reference.namespace) {
        return Err(invalid(format!("the operator reads Secrets only in {}; put it there", allowed.join(" and "))));
    }
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &reference.namespace);
    let Some(secret) = api.get_opt(&reference.name).await? else {
        return Err(invalid("does not exist; create it with host, port, user, password and dbname".to_owned()));
    };
    Credentials::from_secret(&secret.data.unwrap_or_default()).map_err(|error| invalid(error.to_string()))
}

/// The connection to the Postgres, with everything the services need in it.
async fn connect(
    blueprint: &Blueprint<'_>,
    server: Credentials,
    logins: &[crate::postgres::setup::ServiceLogins],
    context: &Context,
    applied: &mut Applied,
) -> Result<Arc<Database>, Stop> {
    if let Some(database) = context.databases.get(blueprint.name)
        && database.serves(&server, logins)
    {
        applied.findings.push(match context.databases.trouble(blueprint.name) {
            None => Finding::new(conditions::DATABASE_READY, Some(true), reason::AS_PLANNED, "Postgres answers"),
            Some(trouble) => {
                Finding::new(conditions::DATABASE_READY, Some(false), reason::DATABASE_UNAVAILABLE, trouble)
            }
        });
        return Ok(database);
    }
    if let Some(outdated) = context.databases.get(blueprint.name) {
        outdated.close().await;
        context.databases.remove(blueprint.name);
    }
    if blueprint.spec.database.provider == Provider::Embedded && !is_up(blueprint, context) {
        applied.findings.push(Finding::new(
            conditions::DATABASE_READY,
            Some(false),
            reason::PROVISIONING,
            "the embedded Postgres is starting; see pod postgres-0",
        ));
        return Err(Stop::Wait);
    }
    match Database::connect(server, logins, Arc::clone(&context.metrics)).await {
        Ok(database) => {
            context.databases.insert(blueprint.name, Arc::clone(&database));
            (applied.changed, applied.connected) = (true, true);
            applied.findings.push(Finding::new(
                conditions::DATABASE_READY,
                Some(true),
                reason::AS_PLANNED,
                "Postgres answers",
            ));
            Ok(database)
        }
        Err(error) => {
            applied.findings.push(Finding::new(
                conditions::DATABASE_READY,
                Some(false),
                reason::DATABASE_UNAVAILABLE,
                error.to_string(),
            ));
            Err(error.into())
        }
    }
}

fn is_up(blueprint: &Blueprint, context: &Context) -> bool {
    context
        .caches
        .get(Kind::StatefulSet, &blueprint.namespace(), embedded::NAME)
        .is_some_and(|live| live.data["status"]["readyReplicas"].as_i64().unwrap_or_default() >= 1)
}

/// Runs the migrations that are due. Returns the services whose databases are at the release's version.
async fn migrate<'a>(
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
    let job_of = |released: &ReleasedService| context.caches.get(Kind::Job, &namespace, &migration::job_name(released));
    let due = |published: &BTreeMap<String, i32>| -> Vec<&'a ReleasedService> {
        blueprint.services().iter().filter(|released| is_due(released, published)).collect()
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
                let name = migration::job_name(released);
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
        blueprint.services().iter().filter(|released| !is_due(released, &database.published())).collect();
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

/// Keeps what runs as it was planned, where the release to come can't be served yet: what someone breaks in the meantime is
/// mended all the same.
async fn maintain(
    blueprint: &Blueprint<'_>,
    running: Option<&Blueprint<'_>>,
    ready: &[&ReleasedService],
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    let moves_on = |service: &ReleasedService| ready.iter().any(|one| one.name == service.name);
    for released in blueprint.services().iter().filter(|service| !moves_on(service)) {
        let live = context.caches.get(Kind::Deployment, &blueprint.namespace(), &released.name);
        let version = live.as_deref().and_then(|live| live.labels().get(labels::VERSION));
        // One that moved on before must not be taken back.
        let keeps = if version == Some(&blueprint.release.spec.version) { Some(blueprint) } else { running };
        let Some((keeps, released)) = keeps
            .and_then(|keeps| Some((keeps, keeps.services().iter().find(|service| service.name == released.name)?)))
        else {
            continue;
        };
        let annotations = live.as_deref().map(workload::annotations);
        let (objects, _) = service::objects(keeps, released, annotations.as_ref());
        write(&objects, context, applied).await?;
    }
    Ok(())
}

/// Runs the services whose databases are ready, and looks at how they fare.
async fn serve(
    blueprint: &Blueprint<'_>,
    ready: &[&ReleasedService],
    database: &Database,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Stop> {
    let namespace = blueprint.namespace();
    let (mut rolling, mut stuck) = (Vec::new(), Vec::new());
    for released in blueprint.services() {
        let live = context.caches.get(Kind::Deployment, &namespace, &released.name);
        if ready.iter().any(|one| one.name == released.name) {
            let annotations = live.as_deref().map(workload::annotations);
            let (objects, pending) = service::objects(blueprint, released, annotations.as_ref());
            if pending {
                applied.pending.push(format!("Deployment {}", released.name));
            }
            let before = applied.changed;
            applied.changed = false;
            write(&objects, context, applied).await?;
            if applied.changed {
                // The cache does not know yet what was written: it is rolling out.
                rolling.push(released.name.clone());
            }
            applied.changed |= before;
        } else {
            rolling.push(released.name.clone());
        }
        let replicas = service::size(blueprint, &released.name).replicas;
        let data = live.as_ref().map_or(&Value::Null, |live| &live.data);
        let count = |field: &str| data["status"][field].as_i64().unwrap_or_default();
        let wanted = i64::from(replicas);
        let observed =
            live.as_ref().and_then(|live| live.metadata.generation) == data["status"]["observedGeneration"].as_i64();
        let done = observed
            && count("updatedReplicas") >= wanted
            && count("availableReplicas") >= wanted
            && count("replicas") == wanted;
        let image = &data["spec"]["template"]["spec"]["containers"][0]["image"];
        if !done || *image != released.image.as_str() {
            let progressing =
                data["status"]["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == "Progressing");
            if progressing.is_some_and(|one| one["status"] == "False") {
                stuck.push(released.name.clone());
            } else if !rolling.contains(&released.name) {
                rolling.push(released.name.clone());
            }
        }
        applied.services.push(ServiceStatus {
            service: released.name.clone(),
            image: image.as_str().unwrap_or_default().to_owned(),
            available: i32::try_from(count("availableReplicas")).unwrap_or_default(),
            replicas,
            schema_version: database.published().get(&released.name).copied().unwrap_or_default(),
        });
    }
    let finding =
        |status, reason, message: String| Finding::new(conditions::SERVICES_AVAILABLE, status, reason, message);
    applied.findings.push(if !stuck.is_empty() {
        finding(
            Some(false),
            reason::ROLLOUT_STUCK,
            format!("{} made no progress for five minutes; see their pods in {namespace}", stuck.join(", ")),
        )
    } else if !rolling.is_empty() {
        finding(Some(false), reason::ROLLING_OUT, format!("waiting for {}", rolling.join(", ")))
    } else {
        finding(Some(true), reason::AS_PLANNED, "all services run as planned".to_owned())
    });
    if rolling.is_empty() && stuck.is_empty() {
        applied.running = Some(blueprint.release.name_any());
    }
    Ok(())
}

/// Removes the workloads of services that the release no longer has; their databases stay.
async fn prune(blueprint: &Blueprint<'_>, context: &Context, applied: &mut Applied) -> Result<(), Stop> {
    let namespace = blueprint.namespace();
    let kept: Vec<_> = blueprint.services().iter().map(|service| service.name.as_str()).collect();
    for kind in [Kind::Deployment, Kind::Service, Kind::PodDisruptionBudget] {
        for live in context.caches.list(kind, &namespace) {
            let is_service = live.labels().get("app.kubernetes.io/component").is_some_and(|one| one == "service");
            if is_service && !kept.contains(&live.name_any().as_str()) {
                context.applier.delete(kind, &namespace, &live.name_any()).await?;
                applied.changed = true;
            }
        }
    }
    Ok(())
}
