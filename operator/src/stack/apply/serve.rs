//! Runs the services, looks at how they fare, and removes those that are no longer wanted.

use std::time::Duration;

use easycode_crds::{
    conditions::{self, Finding, reason},
    platform::ServiceStatus,
    release::ReleasedService,
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    super::{
        blueprint::{Blueprint, ServiceSettings},
        plan::{service, workload},
    },
    Applied, Stop, pods, write,
};
use crate::{
    kubernetes::{labels, object::Kind},
    postgres::Database,
    runtime::{context::Context, error::Error},
};

/// Keeps what runs as it was planned, where the release to come can't be served yet: what someone breaks in the meantime is
/// mended all the same.
pub(super) async fn maintain(
    blueprint: &Blueprint<'_>,
    running: Option<&Blueprint<'_>>,
    ready: &[&ReleasedService],
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    let moves_on = |service: &ReleasedService| ready.iter().any(|one| one.name == service.name);
    for released in blueprint.services().iter().filter(|service| !moves_on(service)) {
        let live = context.caches.get(Kind::Deployment, &blueprint.namespace(), &released.name);
        let image = live.as_deref().map(|live| &live.data["spec"]["template"]["spec"]["containers"][0]["image"]);
        // One that moved on before must not be taken back.
        let version = live.as_deref().and_then(|live| live.labels().get(labels::VERSION));
        // Two releases may have the same version, or the same image of the service.
        let moved = image.is_some_and(|image| *image == blueprint.image_of(released))
            && version == Some(&blueprint.release.spec.version);
        let keeps = if moved { Some(blueprint) } else { running };
        let Some(keeps) = keeps else { continue };
        let Some(released) = keeps.services().into_iter().find(|service| service.name == released.name) else {
            continue;
        };
        let annotations = live.as_deref().map(workload::annotations);
        let (objects, _) = service::objects(keeps, released, annotations.as_ref());
        write(&objects, context, applied).await?;
    }
    Ok(())
}

/// Runs the services whose databases are ready, and looks at how they fare.
pub(super) async fn serve(
    blueprint: &Blueprint<'_>,
    ready: &[&ReleasedService],
    database: &Database,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Stop> {
    let namespace = blueprint.namespace();
    let (mut rolling, mut stuck, mut idle, mut refused) = (Vec::new(), Vec::new(), Vec::new(), None);
    let mut services = Vec::new();
    for released in blueprint.services() {
        let live = context.caches.get(Kind::Deployment, &namespace, &released.name);
        // What was written just now the cache does not show yet: it is rolling out.
        let written = !ready.iter().any(|one| one.name == released.name)
            || render(blueprint, released, live.as_deref(), context, applied).await?;
        let data = live.as_ref().map_or(&Value::Null, |live| &live.data);
        let settings = blueprint.settings_of(&released.name);
        let fare = Fare::of(live.as_deref(), &settings, &blueprint.image_of(released));
        match fare.state {
            State::Stuck => stuck.push(released.name.clone()),
            State::Serves if !written => {}
            _ => rolling.push(released.name.clone()),
        }
        refused = refused.or(fare.refused);
        if settings.autoscaling.is_some() {
            let scaler = context.caches.get(Kind::HorizontalPodAutoscaler, &namespace, &released.name);
            let why = scaler.as_deref().and_then(why_idle);
            idle.extend(why.map(|why| format!("{} ({why})", released.name)));
        }
        services.push(ServiceStatus {
            service: released.name.clone(),
            image: data["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned(),
            available: fare.available,
            replicas: fare.wanted,
            schema_version: database.published().get(&released.name).copied().unwrap_or_default(),
        });
    }
    applied.services = services;
    let waiting = !rolling.is_empty() || !stuck.is_empty();
    let trouble = match refused {
        Some(message) => Some(pods::Trouble::refused(message)),
        None if waiting => pods::trouble(&namespace, pods::OF_SERVICES, context).await?,
        None => None,
    };
    let finding =
        |status, reason, message: String| Finding::new(conditions::SERVICES_AVAILABLE, status, reason, message);
    applied.findings.push(if let Some(trouble) = trouble {
        // Pods are not watched.
        applied.next_look = Some(Duration::from_secs(10));
        finding(Some(false), trouble.reason, trouble.message)
    } else if !stuck.is_empty() {
        finding(
            Some(false),
            reason::ROLLOUT_STUCK,
            format!("{} made no progress for five minutes; see their pods in {namespace}", stuck.join(", ")),
        )
    } else if !rolling.is_empty() {
        finding(Some(false), reason::ROLLING_OUT, format!("waiting for {}", rolling.join(", ")))
    } else {
        finding(Some(true), reason::AS_PLANNED, serves(&idle, &namespace))
    });
    if !waiting {
        applied.running = Some(blueprint.release_name());
    }
    Ok(())
}

/// What is said of services that all run. An autoscaler that does nothing keeps nobody from being served.
fn serves(idle: &[String], namespace: &str) -> String {
    if idle.is_empty() {
        return "all services run as planned".to_owned();
    }
    format!(
        "all services run, but their number of pods does not follow the load for {}: see the HorizontalPodAutoscaler of the name in {namespace}, and whether the cluster has a metrics server",
        idle.join(", ")
    )
}

/// Why an autoscaler can't tell how many pods are needed, in a word. Its sentence may name another pod each time.
fn why_idle(scaler: &DynamicObject) -> Option<String> {
    let conditions = scaler.data["status"]["conditions"].as_array()?;
    let active = conditions.iter().find(|one| one["type"] == "ScalingActive" && one["status"] == "False")?;
    Some(active["reason"].as_str().unwrap_or("no reason").to_owned())
}

/// Applies a service's objects. Returns whether anything was written.
async fn render(
    blueprint: &Blueprint<'_>,
    released: &ReleasedService,
    live: Option<&DynamicObject>,
    context: &Context,
    applied: &mut Applied,
) -> Result<bool, Error> {
    let annotations = live.map(workload::annotations);
    let (objects, pending) = service::objects(blueprint, released, annotations.as_ref());
    if pending {
        applied.pending.push(format!("Deployment {}", released.name));
    }
    let namespace = blueprint.namespace();
    let is_autoscaled = blueprint.settings_of(&released.name).autoscaling.is_some();
    let begins =
        is_autoscaled && context.caches.get(Kind::HorizontalPodAutoscaler, &namespace, &released.name).is_none();
    if let Some(replicas) = live.filter(|_| begins).and_then(|live| live.data["spec"]["replicas"].as_i64()) {
        context.applier.leave_replicas(&namespace, &released.name, replicas).await?;
    }
    let before = std::mem::replace(&mut applied.changed, false);
    write(&objects, context, applied).await?;
    let written = applied.changed;
    applied.changed |= before;
    Ok(written)
}

enum State {
    Serves,
    Rolling,
    Stuck,
}

/// How a service's Deployment fares.
struct Fare {
    state: State,
    available: i32,
    wanted: i32,
    /// Why pods are refused, by a quota say.
    refused: Option<String>,
}

impl Fare {
    fn of(live: Option<&DynamicObject>, settings: &ServiceSettings, image: &str) -> Self {
        let data = live.map_or(&Value::Null, |live| &live.data);
        let number = |value: &Value| i32::try_from(value.as_i64().unwrap_or_default()).unwrap_or(i32::MAX);
        let count = |field: &str| number(&data["status"][field]);
        let condition = |type_: &str| {
            data["status"]["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == type_).cloned()
        };
        // With an autoscaler the number of pods is its own.
        let wanted =
            if settings.autoscaling.is_some() { number(&data["spec"]["replicas"]) } else { settings.size.replicas };
        let observed = live.and_then(|live| live.metadata.generation) == data["status"]["observedGeneration"].as_i64();
        let done = observed
            && count("updatedReplicas") >= wanted
            && count("availableReplicas") >= wanted
            && count("replicas") == wanted
            && data["spec"]["template"]["spec"]["containers"][0]["image"] == image;
        let state = if done {
            State::Serves
        } else if condition("Progressing").is_some_and(|one| one["status"] == "False") {
            State::Stuck
        } else {
            State::Rolling
        };
        let failure = condition("ReplicaFailure").filter(|one| !done && one["status"] == "True");
        let refused = failure.and_then(|one| one["message"].as_str().map(str::to_owned));
        Self { state, available: count("availableReplicas"), wanted, refused }
    }
}

/// Removes the workloads of services that are no longer wanted; their databases stay. Also what a service itself no longer
/// asks for.
pub(super) async fn prune(blueprint: &Blueprint<'_>, context: &Context, applied: &mut Applied) -> Result<(), Stop> {
    let namespace = blueprint.namespace();
    let services = blueprint.services();
    let kept: Vec<_> = services.iter().flat_map(|service| service::names(blueprint, service)).collect();
    for kind in service::KINDS {
        for live in context.caches.list(kind, &namespace) {
            let is_service = live.labels().get("app.kubernetes.io/component").is_some_and(|one| one == "service");
            if is_service && !kept.contains(&(kind, live.name_any())) {
                context.applier.delete(kind, &namespace, &live.name_any()).await?;
                applied.changed = true;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_autoscaler_that_can_not_act_is_told_of() {
        let scaler = |conditions: Value| {
            let scaler = json!({ "metadata": {}, "status": { "conditions": conditions } });
            why_idle(&serde_json::from_value(scaler).unwrap())
        };
        let active = |status: &str| {
            json!([{ "type": "AbleToScale", "status": "False", "reason": "X" },
            { "type": "ScalingActive", "status": status, "reason": "FailedGetResourceMetric", "message": "of pod crm-1" }])
        };
        let why = scaler(active("False")).unwrap();
        assert_eq!(why, "FailedGetResourceMetric");
        assert_eq!(scaler(active("True")).or(scaler(Value::Null)), None);
        assert_eq!(serves(&[], "easycode-instance-a"), "all services run as planned");
        let said = serves(&[format!("crm ({why})")], "easycode-instance-a");
        assert!(said.contains("crm (FailedGetResourceMetric)") && said.contains("easycode-instance-a"), "{said}");
    }
}
