//! Brings a stack up, stage by stage, and says how far it came.

mod database;
mod migrate;
pub(crate) mod pods;
mod rotation;
mod serve;

use std::{sync::Arc, time::Duration};

use easycode_crds::{
    conditions::{self, Finding, reason},
    platform::ServiceStatus,
};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    blueprint::Blueprint,
    home::Home,
    plan::{base, ingress, network, secrets, signing_keys},
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
    /// Whose credentials are being renewed.
    pub rotating: Option<String>,
    /// Whose credentials were renewed just now.
    pub rotated: Option<String>,
    /// Since when all services use their present credentials, if those were ever renewed.
    pub rotated_at: Option<Timestamp>,
    /// When the database was last backed up, if that is known.
    pub last_backup: Option<String>,
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
    let bounds = base::bounds(blueprint);
    write(&bounds, context, applied).await?;
    prune(&[Kind::ResourceQuota, Kind::LimitRange], base::BOUNDS, blueprint, &bounds, context, applied).await?;
    // Before there are pods, and whatever their database waits for.
    let policies = network::policies(blueprint);
    write(&policies, context, applied).await?;
    let (database, present) = match ground(blueprint, policies, context, applied).await {
        Ok(ground) => ground,
        Err(stop) => {
            serve::maintain(blueprint, running, &[], context, applied).await?;
            return Err(stop);
        }
    };

    let ready = migrate::migrate(blueprint, &database, context, applied).await?;
    serve::maintain(blueprint, running, &ready, context, applied).await?;
    serve::serve(blueprint, &ready, &database, context, applied).await?;
    enter(blueprint, context, applied).await?;
    serve::prune(blueprint, context, applied).await?;
    Ok(rotation::rotate(blueprint, &present, &database, context, applied).await?)
}

/// Everything that the services stand on beside the policies, their database last, and the Secrets as they were before.
async fn ground(
    blueprint: &Blueprint<'_>,
    mut policies: Vec<Planned>,
    context: &Arc<Context>,
    applied: &mut Applied,
) -> Result<(Arc<Database>, secrets::Secrets), Stop> {
    let present = database::read_secrets(&blueprint.namespace(), context).await?;
    let server = database::server(blueprint, &present, context, applied).await?;
    let (logins, credentials) = secrets::logins(blueprint, &server, &present).map_err(crate::postgres::Error::from)?;
    write(&credentials, context, applied).await?;
    write(signing_keys::made(blueprint, &present).as_slice(), context, applied).await?;
    write(&base::identities(blueprint), context, applied).await?;
    let way = network::to_external(blueprint, server.port);
    write(way.as_slice(), context, applied).await?;
    policies.extend(way);
    prune(&[Kind::NetworkPolicy], network::COMPONENT, blueprint, &policies, context, applied).await?;
    Ok((database::connect(blueprint, server, &logins, context, applied).await?, present))
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
    // No watch shows these; to a platform there are none.
    if matches!(home, Home::Instance(_)) {
        context.applier.delete(Kind::HTTPRoute, &namespace, ingress::NAME).await?;
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
            let missing =
                Finding::new(conditions::SERVICES_AVAILABLE, Some(false), reason::DEFINITION_MISSING, message);
            // Of a service that does not run either that is said first.
            match applied.findings.iter_mut().find(|one| one.type_ == conditions::SERVICES_AVAILABLE) {
                Some(said) if said.status == Some(true) => *said = missing,
                Some(_) => {}
                None => applied.findings.push(missing),
            }
            // No watch tells when it appears.
            applied.next_look = Some(Duration::from_secs(10));
        }
        outcome => outcome?,
    }
    let namespace = blueprint.namespace();
    let is_wanted = |kind: Kind| wanted.as_ref().is_some_and(|one| one.kind == kind);
    let mut stale = Vec::new();
    if !is_wanted(Kind::Ingress) && context.caches.get(Kind::Ingress, &namespace, ingress::NAME).is_some() {
        stale.push(Kind::Ingress);
    }
    // An HTTPRoute is not watched, so it is looked for.
    if !is_wanted(Kind::HTTPRoute) && matches!(blueprint.home, Home::Instance(_)) {
        match context.applier.api(Kind::HTTPRoute, &namespace).get_opt(ingress::NAME).await {
            Ok(None) => {}
            Ok(Some(_)) => stale.push(Kind::HTTPRoute),
            // Where the kind does not exist, there is none of it.
            Err(error) if database::is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for kind in stale {
        context.applier.delete(kind, &namespace, ingress::NAME).await?;
        applied.changed = true;
    }
    Ok(())
}

/// Deletes what of the kinds is there as the component, and no longer planned.
async fn prune(
    kinds: &[Kind],
    component: &str,
    blueprint: &Blueprint<'_>,
    planned: &[Planned],
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    let namespace = blueprint.namespace();
    for kind in kinds {
        for live in context.caches.list(*kind, &namespace) {
            let is_own = live.labels().get("app.kubernetes.io/name").is_some_and(|name| name == component);
            let is_planned = planned.iter().any(|one| one.kind == *kind && one.name == live.name_any());
            if is_own && !is_planned {
                context.applier.delete(*kind, &namespace, &live.name_any()).await?;
                applied.changed = true;
            }
        }
    }
    Ok(())
}

async fn write(objects: &[Planned], context: &Context, applied: &mut Applied) -> Result<(), Error> {
    for object in objects {
        applied.changed |= context.applier.apply(object, &context.caches).await?;
    }
    Ok(())
}
