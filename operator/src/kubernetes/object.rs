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

    /// Whether the live object already has every planned field.
    #[must_use]
    pub fn is_satisfied_by(&self, live: &DynamicObject) -> bool {
        serde_json::to_value(live).is_ok_and(|live| contains(&live, &self.body))
    }

    /// Paths of the planned fields that the live object lacks or has otherwise; none if it satisfies the plan.
    #[must_use]
    pub fn differences(&self, live: &DynamicObject) -> Vec<String> {
        let mut paths = Vec::new();
        collect_differences(&serde_json::to_value(live).unwrap_or_default(), &self.body, "", &mut paths);
        paths
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
