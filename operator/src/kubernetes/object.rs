//! A planned object: its kind, its place, and the fields the operator owns.

use kube::{api::DynamicObject, core::ApiResource};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The kinds of objects that the operator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// v1 Namespace; the only one without a namespace of its own.
    Namespace,
    /// v1 ServiceAccount.
    ServiceAccount,
    /// v1 Secret. Read by name, never watched: the operator has rights on Secrets only in its own namespaces.
    Secret,
    /// v1 ConfigMap.
    ConfigMap,
    /// v1 Service.
    Service,
    /// rbac Role.
    Role,
    /// rbac RoleBinding.
    RoleBinding,
    /// networking NetworkPolicy.
    NetworkPolicy,
    /// networking Ingress.
    Ingress,
    /// policy PodDisruptionBudget.
    PodDisruptionBudget,
    /// apps StatefulSet.
    StatefulSet,
    /// apps Deployment.
    Deployment,
    /// batch Job.
    Job,
    /// v1 PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// v1 ResourceQuota.
    ResourceQuota,
    /// v1 LimitRange.
    LimitRange,
    /// autoscaling HorizontalPodAutoscaler.
    HorizontalPodAutoscaler,
    /// Gateway API HTTPRoute. Its definition may be missing, so it is read when needed and not watched.
    HTTPRoute,
    /// CloudNativePG's Cluster, of which the same holds.
    Cluster,
    /// CloudNativePG's ScheduledBackup, of which the same holds.
    ScheduledBackup,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::Namespace,
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::Role,
        Self::RoleBinding,
        Self::NetworkPolicy,
        Self::Ingress,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::Deployment,
        Self::Job,
        Self::PersistentVolumeClaim,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::HorizontalPodAutoscaler,
        Self::HTTPRoute,
        Self::Cluster,
        Self::ScheduledBackup,
    ];

    /// Group, version, kind and plural, as the API server names them.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, plural) = match self {
            Self::ResourceQuota => ("", "resourcequotas"),
            Self::LimitRange => ("", "limitranges"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "horizontalpodautoscalers"),
            Self::Cluster => ("postgresql.cnpg.io", "clusters"),
            Self::ScheduledBackup => ("postgresql.cnpg.io", "scheduledbackups"),
            Self::HTTPRoute => ("gateway.networking.k8s.io", "httproutes"),
            Self::Namespace => ("", "namespaces"),
            Self::ServiceAccount => ("", "serviceaccounts"),
            Self::Secret => ("", "secrets"),
            Self::ConfigMap => ("", "configmaps"),
            Self::Service => ("", "services"),
            Self::Role => ("rbac.authorization.k8s.io", "roles"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "rolebindings"),
            Self::NetworkPolicy => ("networking.k8s.io", "networkpolicies"),
            Self::Ingress => ("networking.k8s.io", "ingresses"),
            Self::PodDisruptionBudget => ("policy", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "statefulsets"),
            Self::Deployment => ("apps", "deployments"),
            Self::Job => ("batch", "jobs"),
            Self::PersistentVolumeClaim => ("", "persistentvolumeclaims"),
        };
        let version = if self == Self::HorizontalPodAutoscaler { "v2" } else { "v1" };
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: format!("{self:?}"),
            plural: plural.to_owned(),
        }
    }

    /// Whether it is read before it is written, since no watch shows it. (Secrets are compared where they are planned.)
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Self::HTTPRoute | Self::Cluster | Self::ScheduledBackup)
    }

    /// Whether a drift of it is noticed by a watch.
    #[must_use]
    pub fn is_watched(self) -> bool {
        !matches!(self, Self::Secret | Self::HTTPRoute | Self::Cluster | Self::ScheduledBackup)
    }

    /// The part of an object of which the plan says all there may be, as a JSON pointer: one more selector in a policy lets more
    /// in, and one more label in a Service's selector leads nowhere. The API server adds no defaults there.
    fn closed_part(self) -> Option<&'static str> {
        match self {
            Self::NetworkPolicy => Some("/spec"),
            Self::Service => Some("/spec/selector"),
            _ => None,
        }
    }
}

/// Hash of a document, short enough for a name.
///
/// # Panics
/// Never: a digest is longer than what is taken of it.
#[must_use]
pub fn short_hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    let prefix = u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"));
    format!("{prefix:016x}")[..10].to_owned()
}

/// An object as planned: only the fields that the operator owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a Namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The whole object, `apiVersion` and `kind` included.
    pub body: Value,
}

impl Planned {
    /// Completes a body (everything but apiVersion, kind, name and namespace) with its identity.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str, mut body: Value) -> Self {
        let resource = kind.resource();
        body["apiVersion"] = resource.api_version.into();
        body["kind"] = resource.kind.into();
        body["metadata"]["name"] = name.into();
        if kind != Kind::Namespace {
            body["metadata"]["namespace"] = namespace.into();
        }
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned(), body }
    }

    /// Whether the live object already has every planned field, and nothing more where that would open it.
    #[must_use]
    pub fn is_satisfied_by(&self, live: &DynamicObject) -> bool {
        serde_json::to_value(live).is_ok_and(|live| contains(&live, &self.body) && self.surplus(&live).is_empty())
    }

    /// Paths of the planned fields that the live object lacks or has otherwise, and of those that it must not have; none if it
    /// satisfies the plan.
    #[must_use]
    pub fn differences(&self, live: &DynamicObject) -> Vec<String> {
        let live = serde_json::to_value(live).unwrap_or_default();
        let mut paths = self.surplus(&live);
        collect_differences(&live, &self.body, "", &mut paths);
        paths
    }

    /// What is planned as a merge patch that takes away what the live object has beyond it, where that would open it.
    #[must_use]
    pub fn closing(&self, live: &DynamicObject) -> Value {
        let (mut patch, live) = (self.body.clone(), serde_json::to_value(live).unwrap_or_default());
        if let Some(part) = self.kind.closed_part()
            && let (Some(live), Some(planned)) = (live.pointer(part), patch.pointer_mut(part))
        {
            close(live, planned);
        }
        patch
    }

    fn surplus(&self, live: &Value) -> Vec<String> {
        let mut paths = Vec::new();
        if let Some(part) = self.kind.closed_part()
            && let (Some(live), Some(planned)) = (live.pointer(part), self.body.pointer(part))
        {
            collect_surplus(live, planned, &part[1..].replace('/', "."), &mut paths);
        }
        paths
    }
}

/// Adds the paths of fields that `live` has beyond `planned`.
fn collect_surplus(live: &Value, planned: &Value, path: &str, paths: &mut Vec<String>) {
    match (live, planned) {
        (Value::Object(live), Value::Object(planned)) => {
            for (key, value) in live {
                let path = field_path(path, key);
                match planned.get(key) {
                    Some(planned) => collect_surplus(value, planned, &path, paths),
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(live), Value::Array(planned)) => {
            for (at, (live, planned)) in live.iter().zip(planned).enumerate() {
                collect_surplus(live, planned, &format!("{path}[{at}]"), paths);
            }
        }
        _ => {}
    }
}

/// Sets to null what `live` has beyond the patch. A merge patch replaces lists as a whole.
fn close(live: &Value, patch: &mut Value) {
    let (Value::Object(live), Value::Object(patch)) = (live, patch) else { return };
    for (key, value) in live {
        match patch.get_mut(key) {
            Some(patch) => close(value, patch),
            None => {
                patch.insert(key.clone(), Value::Null);
            }
        }
    }
}

/// Whether every field of `planned` is in `live` with the same value. The API server's defaults only add fields to
/// objects; lists keep their length and order.
fn contains(live: &Value, planned: &Value) -> bool {
    match (live, planned) {
        (Value::Object(live), Value::Object(planned)) => planned.iter().all(|(key, value)| match live.get(key) {
            Some(present) => contains(present, value),
            // The API server drops empty maps and lists.
            None => {
                value.is_null()
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty)
            }
        }),
        (Value::Array(live), Value::Array(planned)) => {
            live.len() == planned.len() && live.iter().zip(planned).all(|(live, planned)| contains(live, planned))
        }
        (live, planned) => live == planned,
    }
}

/// Adds the paths where [`contains`] finds that `live` falls short of `planned`. A list of another length is one
/// difference, since its items can't be told apart.
fn collect_differences(live: &Value, planned: &Value, path: &str, paths: &mut Vec<String>) {
    match (live, planned) {
        (Value::Object(_), Value::Object(fields)) => {
            for (key, value) in fields {
                let path = field_path(path, key);
                match live.get(key) {
                    Some(present) => collect_differences(present, value, &path, paths),
                    None if contains(&Value::Object(serde_json::Map::new()), &serde_json::json!({ key: value })) => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) if items.len() == wanted.len() => {
            for (at, (item, wanted)) in items.iter().zip(wanted).enumerate() {
                collect_differences(item, wanted, &format!("{path}[{at}]"), paths);
            }
        }
        (live, planned) if live == planned => {}
        _ => paths.push(path.to_owned()),
    }
}

/// The path of a field, as `kubectl` takes it in a JSONPath: keys of labels and annotations stand in brackets.
fn field_path(parent: &str, key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match (parent.is_empty(), plain) {
        (_, false) => format!("{parent}['{key}']"),
        (true, true) => key.to_owned(),
        (false, true) => format!("{parent}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn differences(live: &Value, planned: &Value) -> Vec<String> {
        let mut paths = Vec::new();
        collect_differences(live, planned, "", &mut paths);
        paths
    }

    #[test]
    fn differences_are_named_by_their_paths() {
        let live = json!({
            "metadata": { "labels": { "easycode.io/tenant": "a" } },
            "spec": { "replicas": 1, "paused": false, "ports": [{ "port": 80 }, { "port": 81 }], "args": ["a"] },
        });
        let planned = json!({
            "metadata": { "labels": { "easycode.io/tenant": "b" }, "annotations": {} },
            "spec": { "replicas": 2, "ports": [{ "port": 80 }, { "port": 82 }], "args": ["a", "b"], "selector": {"a": "b"} },
        });
        let expected = [
            "metadata.labels['easycode.io/tenant']",
            "spec.args",
            "spec.ports[1].port",
            "spec.replicas",
            "spec.selector",
        ];
        assert_eq!(differences(&live, &planned), expected);
        assert_eq!(differences(&live, &live), [""; 0]);
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[ab/]", inner, 0..3).prop_map(|fields| json!(fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_is_a_difference_exactly_where_the_plan_is_not_satisfied(live in documents(), planned in documents()) {
            prop_assert_eq!(contains(&live, &planned), differences(&live, &planned).is_empty());
        }
    }

    #[test]
    fn what_opens_a_policy_is_a_difference_and_is_taken_away() {
        let from = json!({ "podSelector": { "matchLabels": { "a": "b" } } });
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [from], "ports": [{ "protocol": "TCP", "port": 5432 }] }] });
        let planned = Planned::new(Kind::NetworkPolicy, "n", "p", json!({ "spec": spec }));
        let live = |path: &str, value: Value| {
            let mut body = planned.body.clone();
            let (parent, key) = path.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[key] = value;
            serde_json::from_value::<DynamicObject>(body).unwrap()
        };
        assert!(planned.is_satisfied_by(&live("/spec/podSelector", json!({}))));
        for (path, value, told) in [
            ("/spec/ingress/0/from/0/namespaceSelector", json!({}), "spec.ingress[0].from[0].namespaceSelector"),
            ("/spec/ingress/0/ports/0/endPort", json!(9999), "spec.ingress[0].ports[0].endPort"),
            ("/spec/podSelector/matchLabels", json!({ "a": "c" }), "spec.podSelector.matchLabels"),
            ("/spec/egress", json!([{}]), "spec.egress"),
        ] {
            let live = live(path, value);
            assert!(!planned.is_satisfied_by(&live), "{path}");
            assert_eq!(planned.differences(&live), [told]);
            let mut mended = json!(live);
            merge(&mut mended, &planned.closing(&live));
            assert!(planned.is_satisfied_by(&serde_json::from_value(mended).unwrap()), "{path}");
        }
    }

    /// RFC 7396.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        for (key, value) in patch {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(key);
            } else {
                merge(&mut target[key], value);
            }
        }
    }

    #[test]
    fn a_selector_of_a_service_has_no_label_more() {
        let service = |selector: Value| json!({ "spec": { "type": "ClusterIP", "selector": selector } });
        let planned = Planned::new(Kind::Service, "n", "crm", service(json!({ "a": "b" })));
        let mut body = Planned::new(Kind::Service, "n", "crm", service(json!({ "a": "b", "c": "d" }))).body;
        body["spec"]["clusterIP"] = "10.0.0.1".into();
        let live: DynamicObject = serde_json::from_value(body).unwrap();
        assert_eq!(planned.differences(&live), ["spec.selector.c"]);
        assert_eq!(planned.closing(&live)["spec"]["selector"], json!({ "a": "b", "c": null }));
    }

    #[test]
    fn defaults_are_no_difference_but_changes_are() {
        let planned = json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, "empty": {}}});
        assert!(contains(
            &json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"a": "b"}, "x": 1}}),
            &planned
        ));
        assert!(!contains(&json!({"spec": {"ports": [{"port": 81}], "selector": {"a": "b"}}}), &planned));
        assert!(!contains(&json!({"spec": {"ports": [{"port": 80}, {"port": 81}], "selector": {"a": "b"}}}), &planned));
        assert!(!contains(&json!({"spec": {"ports": [{"port": 80}]}}), &planned));
    }
}
