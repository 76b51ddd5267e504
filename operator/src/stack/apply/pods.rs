//! Why pods don't run, in words that a person can act on. Pods are many and change often, so they are not watched: they are
//! asked for while something is not available.

use std::collections::BTreeSet;

use easycode_contract::runtime::UNRESOLVED;
use easycode_crds::conditions::reason;
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{ContainerStatus, Pod},
    events::v1::Event,
};
use kube::{Api, ResourceExt, api::ListParams};

use crate::{
    kubernetes::object::Kind,
    runtime::{context::Context, error::Error},
};

/// Selects the pods of all services.
pub const OF_SERVICES: &str = "app.kubernetes.io/component=service";
/// Selects the pod of an embedded Postgres.
pub const OF_POSTGRES: &str = "app.kubernetes.io/name=postgres";
/// Selects the pods that migrate.
pub const OF_MIGRATIONS: &str = "app.kubernetes.io/component=migration";

/// What to do where pods have no names resolved.
pub const NAMES_WAY_OUT: &str = "see that DNS runs, and that NetworkPolicy dns of the namespace opens the way to it, or set the chart's values dns.to, dns.addresses and dns.ports";

/// What keeps pods from running.
pub struct Trouble {
    /// Condition reason.
    pub reason: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

impl Trouble {
    /// Pods that were not admitted, with the API server's words.
    pub fn refused(message: String) -> Self {
        if message.contains("exceeded quota") || message.contains("LimitRange") || message.contains("maximum") {
            let message = format!("the namespace's bounds admit no more pods; raise spec.isolation: {message}");
            Self { reason: reason::QUOTA_EXCEEDED, message }
        } else {
            Self { reason: reason::ROLLOUT_STUCK, message }
        }
    }
}

/// The first trouble of the selected pods in the namespace that waiting alone does not mend.
pub async fn trouble(namespace: &str, selector: &str, context: &Context) -> Result<Option<Trouble>, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(selector)).await?;
    if let Some(unresolved) = of_last(&pods.items) {
        return Ok(Some(unresolved));
    }
    // Of a service's pods its Deployment tells itself.
    if pods.items.iter().all(has_ended) && selector != OF_SERVICES {
        return refused(namespace, context).await;
    }
    Ok(pods.iter().find_map(of_pod))
}

/// Whether the selected pods had no names resolved, by the one that ended last.
pub async fn unresolved(namespace: &str, selector: &str, context: &Context) -> Result<Option<Trouble>, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    Ok(of_last(&api.list(&ListParams::default().labels(selector)).await?.items))
}

/// By the one that was made last of those that ended: what failed before may be mended.
fn of_last(pods: &[Pod]) -> Option<Trouble> {
    let ended = pods.iter().filter(|pod| has_ended(pod));
    ended.max_by_key(|pod| pod.creation_timestamp()).and_then(without_names)
}

/// A pod that has told by its exit code that no names are resolved.
fn without_names(pod: &Pod) -> Option<Trouble> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = |container: &ContainerStatus| {
        let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code == i32::from(UNRESOLVED))
    };
    containers.iter().any(ended).then(|| Trouble {
        reason: reason::NAMES_NOT_RESOLVED,
        message: format!("pod {} has no names resolved; {NAMES_WAY_OUT}", pod.name_any()),
    })
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Why a StatefulSet or a Job has no pod: unlike a Deployment they tell it by events alone.
async fn refused(namespace: &str, context: &Context) -> Result<Option<Trouble>, Error> {
    let made = [Kind::StatefulSet, Kind::Job].into_iter().flat_map(|kind| context.caches.list(kind, namespace));
    let made: BTreeSet<_> = made.filter_map(|one| one.uid()).collect();
    let events: Api<Event> = Api::namespaced(context.client.clone(), namespace);
    let refusals = events.list(&ListParams::default().fields("reason=FailedCreate")).await?;
    let of_these = |event: &&Event| {
        event.regarding.as_ref().and_then(|one| one.uid.as_ref()).is_some_and(|uid| made.contains(uid))
    };
    let newest = refusals.iter().filter(of_these).max_by_key(|event| last_seen(event));
    Ok(newest.and_then(|event| event.note.clone()).map(Trouble::refused))
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let in_series = event.series.as_ref().map(|series| series.last_observed_time.0);
    in_series
        .or(event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or(event.event_time.as_ref().map(|time| time.0))
}

fn of_pod(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        let said = condition.message.clone().unwrap_or_default();
        let elsewhere = said.contains("node affinity/selector") || said.contains("volume node affinity");
        let message = if elsewhere {
            format!(
                "no node of the region and with the asked-for labels takes pod {}; nothing is run elsewhere: {said}",
                pod.name_any()
            )
        } else {
            format!("no node has room for pod {}: {said}", pod.name_any())
        };
        return Some(Trouble {
            reason: if elsewhere { reason::NO_NODE_IN_REGION } else { reason::UNSCHEDULABLE },
            message,
        });
    }
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    containers.into_iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let why = waiting.reason.as_deref()?;
        ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"].contains(&why).then(|| Trouble {
            reason: reason::IMAGE_UNAVAILABLE,
            message: format!(
                "image {} of pod {} can't be had ({why}): {}",
                container.image,
                pod.name_any(),
                waiting.message.as_deref().unwrap_or("no more is known")
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(made: &str, phase: &str, exit_code: i32) -> Pod {
        let state = if phase == "Running" {
            json!({ "running": {} })
        } else {
            json!({ "terminated": { "exitCode": exit_code } })
        };
        let container =
            json!({ "name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state });
        let made = format!("2026-11-01T00:00:{made}Z");
        let pod = json!({
            "metadata": { "name": format!("p-{phase}"), "creationTimestamp": made },
            "status": { "phase": phase, "containerStatuses": [container] },
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn pods_without_names_are_told_of_until_a_later_one_had_them() {
        let told = |pods: &[Pod]| of_last(pods).map(|trouble| trouble.reason);
        let failed = pod("01", "Failed", i32::from(UNRESOLVED));
        assert_eq!(told(std::slice::from_ref(&failed)), Some(reason::NAMES_NOT_RESOLVED));
        // One that is tried again has told nothing yet.
        assert_eq!(told(&[failed.clone(), pod("02", "Running", 0)]), Some(reason::NAMES_NOT_RESOLVED));
        assert_eq!(told(&[failed.clone(), pod("02", "Succeeded", 0)]), None);
        assert_eq!(told(&[failed, pod("02", "Failed", 1)]), None);
        assert_eq!(told(&[]), None);
    }
}
