//! Why pods don't run, in words that a person can act on. Pods are many and change often, so they are not watched: they are
//! asked for while something is not available.

use std::collections::BTreeSet;

use easycode_crds::conditions::reason;
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
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
    // Of a service's pods its Deployment tells itself.
    if pods.items.iter().all(has_ended) && selector != OF_SERVICES {
        return refused(namespace, context).await;
    }
    Ok(pods.iter().find_map(of_pod))
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
