//! What a kubelet writes of a pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::MANAGER;

/// The state of a pod.
pub(super) enum State {
    /// On no node, with the scheduler's words.
    Unschedulable(String),
    /// Its containers wait, for a reason.
    Waiting { reason: &'static str, message: String },
    /// It is ready on its address. Where it is a process, that is known by its id.
    Running { ip: String, id: Option<String>, restarts: u32 },
    /// It has ended, with its last words.
    Ended { succeeded: bool, message: String },
}

/// Writes the state of a pod. One that is gone needs none.
pub(super) async fn write(client: &Client, pod: &Pod, state: &State) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let patch = json!({ "metadata": { "uid": pod.uid() }, "status": status(pod, state) });
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(&pod.name_any(), &params, &Patch::Merge(patch)).await {
        // Gone, or another of the name by now.
        Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => Ok(()),
        written => Ok(written.map(drop)?),
    }
}

fn status(pod: &Pod, state: &State) -> Value {
    let now = Timestamp::now().to_string();
    let condition = |type_: &str, holds: bool| json!({ "type": type_, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now });
    let ready = matches!(state, State::Running { .. });
    let (phase, container) = match state {
        State::Waiting { reason, message } => {
            ("Pending", json!({ "waiting": { "reason": reason, "message": message } }))
        }
        State::Running { .. } => ("Running", json!({ "running": { "startedAt": now } })),
        State::Ended { succeeded, message } => {
            let (phase, code, reason) = if *succeeded { ("Succeeded", 0, "Completed") } else { ("Failed", 1, "Error") };
            let ended = json!({
                "exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now,
            });
            (phase, json!({ "terminated": ended }))
        }
        State::Unschedulable(message) => {
            let mut scheduled = condition("PodScheduled", false);
            scheduled["reason"] = "Unschedulable".into();
            scheduled["message"] = message.as_str().into();
            return json!({ "phase": "Pending", "conditions": [scheduled] });
        }
    };
    let (id, restarts) = match state {
        State::Running { id, restarts, .. } => (id.as_deref(), *restarts),
        _ => (None, 0),
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|one| {
        json!({
            "name": one.name, "image": one.image, "imageID": "", "ready": ready, "restartCount": restarts,
            "containerID": id, "state": container,
        })
    });
    let conditions = ["PodScheduled", "Initialized"].map(|type_| condition(type_, true)).into_iter();
    let conditions = conditions.chain(["ContainersReady", "Ready"].map(|type_| condition(type_, ready)));
    let mut status = json!({
        "phase": phase, "startTime": now, "conditions": conditions.collect::<Vec<_>>(),
        "containerStatuses": containers.collect::<Vec<_>>(),
    });
    if let State::Running { ip, .. } = state {
        status["podIP"] = ip.as_str().into();
        status["podIPs"] = json!([{ "ip": ip }]);
    }
    status
}
