//! A workload is rendered anew only when what it is made from changes: spec, release, or an explicit request. A new version of
//! the operator that would render it differently leaves it as it runs, and says so.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::{
    super::blueprint::{Blueprint, Bounds},
    amount,
};
use crate::kubernetes::{
    labels,
    object::{Kind, Planned, short_hash},
};

/// Fits a workload to its stack, as [`fit_pods`] does, and notes in its inputs what it was fitted to.
pub fn fit(blueprint: &Blueprint, inputs: &mut Value, rendered: &mut Value) {
    if !blueprint.nodes.is_any() {
        inputs["nodes"] = json!(blueprint.nodes);
    }
    let defaults = blueprint.bounds.defaults();
    if !defaults.is_empty() {
        inputs["defaults"] = json!(defaults);
    }
    fit_pods(blueprint, rendered);
}

/// Binds the pods of a template to the stack's nodes, and gives their containers the limits that the namespace would give
/// them: here, since it refuses a container that asks for more than the default it gets.
pub fn fit_pods(blueprint: &Blueprint, rendered: &mut Value) {
    let pod = &mut rendered["spec"]["template"]["spec"];
    if !blueprint.nodes.selector.is_empty() {
        pod["nodeSelector"] = json!(blueprint.nodes.selector);
    }
    if !blueprint.nodes.tolerations.is_empty() {
        pod["tolerations"] = json!(blueprint.nodes.tolerations);
    }
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        limit(&blueprint.bounds, &mut container["resources"]);
    }
}

/// Sets the limits that a container lacks and the namespace has a default for.
pub fn limit(bounds: &Bounds, resources: &mut Value) {
    for (resource, default) in bounds.defaults() {
        if resources["limits"][&resource].is_null() {
            let asked = resources["requests"][&resource].as_str().unwrap_or_default().to_owned();
            resources["limits"][&resource] = amount::larger(asked, default).into();
        }
    }
}

/// The annotations of a live workload, as [`keep_or_render`] takes them.
#[must_use]
pub fn annotations(live: &DynamicObject) -> Value {
    json!(live.annotations())
}

/// The workload as rendered now, or as it was rendered before if its inputs are the same. Also tells whether a rendering
/// is pending.
#[must_use]
pub fn keep_or_render(
    kind: Kind,
    namespace: &str,
    name: &str,
    inputs: &Value,
    rendered: Value,
    live: Option<&Value>,
) -> (Planned, bool) {
    let before = live.and_then(|annotations| {
        let text = annotations[labels::RENDERED].as_str()?;
        let rendering: Value = serde_json::from_str(text).ok()?;
        // The mark has a hash of both, so a rendering that someone edited is not trusted.
        (annotations[labels::INPUTS].as_str() == Some(&mark(inputs, &rendering))).then_some(rendering)
    });
    let pending = before.as_ref().is_some_and(|before| *before != rendered);
    let rendering = before.unwrap_or(rendered);
    let mut body = rendering.clone();
    body["metadata"]["annotations"][labels::INPUTS] = mark(inputs, &rendering).into();
    body["metadata"]["annotations"][labels::RENDERED] = rendering.to_string().into();
    (Planned::new(kind, namespace, name, body), pending)
}

fn mark(inputs: &Value, rendering: &Value) -> String {
    format!("{}.{}", short_hash(inputs), short_hash(rendering))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations_of(planned: &Planned) -> Value {
        planned.body["metadata"]["annotations"].clone()
    }

    #[test]
    fn same_inputs_keep_what_runs_and_other_inputs_render_anew() {
        let (old, new) = (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 1, "paused": false}}));
        let inputs = json!({"image": "a"});
        let (first, pending) = keep_or_render(Kind::Deployment, "n", "d", &inputs, old.clone(), None);
        assert!(!pending);
        let live = annotations_of(&first);

        let (kept, pending) = keep_or_render(Kind::Deployment, "n", "d", &inputs, new.clone(), Some(&live));
        assert!(pending);
        assert_eq!(kept, first);

        let (moved, pending) =
            keep_or_render(Kind::Deployment, "n", "d", &json!({"image": "b"}), new.clone(), Some(&live));
        assert!(!pending);
        assert_eq!(moved.body["spec"], new["spec"]);
    }

    #[test]
    fn an_edited_rendering_is_not_trusted() {
        let rendered = json!({"spec": {"replicas": 1}});
        let inputs = json!({});
        let (first, _) = keep_or_render(Kind::Deployment, "n", "d", &inputs, rendered.clone(), None);
        let mut live = annotations_of(&first);
        live[labels::RENDERED] = json!({"spec": {"replicas": 0}}).to_string().into();
        let (repaired, pending) = keep_or_render(Kind::Deployment, "n", "d", &inputs, rendered, Some(&live));
        assert!(!pending);
        assert_eq!(repaired, first);
    }
}
