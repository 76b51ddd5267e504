//! Brings a stack up, stage by stage, and says how far it came.

mod database;
mod migrate;
mod pods;
mod serve;

use std::{sync::Arc, time::Duration};

use easycode_crds::{
    conditions::{self, Finding, reason},
    platform::ServiceStatus,
};
use kube::ResourceExt;

use super::{
    blueprint::Blueprint,
    home::Home,
    plan::{base, ingress, network, secrets},
};
use crate::{
    kubernetes::object::{Kind, Planned},
    postgres::Database,
    runtime::{context::Context, error::Error},
};

/// How far a stack came.
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
    /// What waits for a maintenance window.
    pub waits: Option<String>,
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

/// Applies all stages as far as they go. `running` is the blueprint by the release that all workloads ran last, which may be
/// another while a rollout is under way.
pub async fn bring(blueprint: &Blueprint<'_>, running: Option<&Blueprint<'_>>, context: &Arc<Context>) -> Applied {
    let mut applied = Applied::default();
    if let Err(Stop::Fault(fault)) = stages(blueprint, running, context, &mut applied).await {
        applied.fault = Some(fault);
    }
    applied
}

async fn stages(
    blueprint: &Blueprint<'_>,
    running: Option<&Blueprint<'_>>,
    context: &Arc<Context>,
    applied: &mut Applied,
) -> Result<(), Stop> {
    write(&base::namespace(blueprint), context, applied).await?;
    write(&base::bounds(blueprint), context, applied).await?;
    let database = match ground(blueprint, context, applied).await {
        Ok(database) => database,
        Err(stop) => {
            serve::maintain(blueprint, running, &[], context, applied).await?;
            return Err(stop);
        }
    };

    let ready = migrate::migrate(blueprint, &database, context, applied).await?;
    serve::maintain(blueprint, running, &ready, context, applied).await?;
    serve::serve(blueprint, &ready, &database, context, applied).await?;
    enter(blueprint, context, applied).await?;
    serve::prune(blueprint, context, applied).await
}

/// Everything that the services stand on, their database last.
async fn ground(
    blueprint: &Blueprint<'_>,
    context: &Arc<Context>,
    applied: &mut Applied,
) -> Result<Arc<Database>, Stop> {
    let present = database::read_secrets(&blueprint.namespace(), context).await?;
    let server = database::server(blueprint, &present, context, applied).await?;
    let (logins, credentials) = secrets::logins(blueprint, &server, &present).map_err(crate::postgres::Error::from)?;
    write(&credentials, context, applied).await?;
    let mut objects = base::identities(blueprint);
    objects.extend(network::policies(blueprint, server.port));
    write(&objects, context, applied).await?;
    database::connect(blueprint, server, &logins, context, applied).await
}

/// Removes what serves. Postgres, its volume and its Secrets stay.
pub async fn stop(home: &Home, context: &Context) -> Result<(), Error> {
    const SERVING: [Kind; 5] =
        [Kind::Ingress, Kind::Deployment, Kind::Job, Kind::PodDisruptionBudget, Kind::HorizontalPodAutoscaler];
    let namespace = home.namespace();
    for kind in SERVING {
        for live in context.caches.list(kind, &namespace) {
            context.applier.delete(kind, &namespace, &live.name_any()).await?;
        }
    }
    context.databases.remove(home);
    Ok(())
}

/// Opens the way in from outside, and closes one that is no longer asked for.
async fn enter(blueprint: &Blueprint<'_>, context: &Context, applied: &mut Applied) -> Result<(), Stop> {
    let wanted = ingress::ingress(blueprint);
    match write(wanted.as_slice(), context, applied).await {
        Err(Error::Kubernetes(error)) if database::is_missing(&error) => {
            let message = "the definition httproutes.gateway.networking.k8s.io does not exist; install the Gateway API, or name an ingress.className";
            applied.findings.push(Finding::new(
                conditions::SERVICES_AVAILABLE,
                Some(false),
                reason::DEFINITION_MISSING,
                message,
            ));
            applied.next_look = Some(Duration::from_secs(30));
        }
        outcome => outcome?,
    }
    let stale = wanted.is_none_or(|one| one.kind != Kind::Ingress)
        && context.caches.get(Kind::Ingress, &blueprint.namespace(), ingress::NAME).is_some();
    if stale {
        context.applier.delete(Kind::Ingress, &blueprint.namespace(), ingress::NAME).await?;
        applied.changed = true;
    }
    Ok(())
}

async fn write(objects: &[Planned], context: &Context, applied: &mut Applied) -> Result<(), Error> {
    for object in objects {
        applied.changed |= context.applier.apply(object, &context.caches).await?;
    }
    Ok(())
}
