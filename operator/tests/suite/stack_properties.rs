//! What holds for the plan of any stack: of any platform, and of any instance.

use std::collections::{BTreeMap, BTreeSet};

use easycode_crds::{DedicatedInstance, Release, SharedPlatform, Tenant};
use easycode_operator::{
    instance,
    kubernetes::object::{Kind, Planned},
    platform,
    stack::{
        blueprint::{Blueprint, Operator, Server},
        home::Home,
        plan::{
            self, postgres,
            secrets::{self, Kept},
            service,
        },
    },
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{ResourceExt, api::DynamicObject};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    arbitrary::{self, name, release},
    examples::{operator, title},
    pod_security::violations,
};

/// What asks for a stack.
#[derive(Clone, Debug)]
enum Asks {
    Platform(Box<SharedPlatform>),
    Instance(Box<DedicatedInstance>, Option<Box<Tenant>>),
}

/// A stack that is asked for.
#[derive(Clone, Debug)]
struct Stack {
    asks: Asks,
    release: Release,
}

impl Stack {
    fn blueprint<'a>(&'a self, operator: &'a Operator) -> Blueprint<'a> {
        match &self.asks {
            Asks::Platform(platform) => platform::plan::blueprint(platform, &self.release, operator),
            Asks::Instance(instance, tenant) => {
                instance::plan::blueprint(instance, tenant.as_deref(), &self.release, operator)
            }
        }
    }

    fn home(&self) -> Home {
        match &self.asks {
            Asks::Platform(platform) => Home::Platform(platform.name_any()),
            Asks::Instance(instance, _) => Home::Instance(instance.name_any()),
        }
    }

    /// The same by another name.
    fn named(&self, name: &str) -> Self {
        let mut other = self.clone();
        match &mut other.asks {
            Asks::Platform(platform) => platform.metadata.name = Some(name.to_owned()),
            Asks::Instance(instance, _) => instance.metadata.name = Some(name.to_owned()),
        }
        other
    }

    fn planned(&self) -> Vec<Planned> {
        plan::objects(&self.blueprint(&operator()))
    }
}

fn any_platform() -> impl Strategy<Value = Stack> {
    (name(40), release()).prop_flat_map(|(name, release)| {
        arbitrary::platform(name, &release)
            .prop_map(move |platform| Stack { asks: Asks::Platform(Box::new(platform)), release: release.clone() })
    })
}

fn any_instance() -> impl Strategy<Value = Stack> {
    (name(40), name(40), release(), any::<bool>()).prop_flat_map(|(name, tenant, release, has_tenant)| {
        (arbitrary::instance(name, &tenant, &release), arbitrary::tenant(tenant)).prop_map(move |(instance, tenant)| {
            let tenant = has_tenant.then(|| Box::new(tenant));
            Stack { asks: Asks::Instance(Box::new(instance), tenant), release: release.clone() }
        })
    })
}

fn any_stack() -> impl Strategy<Value = Stack> {
    prop_oneof![any_platform(), any_instance()]
}

/// The spec of the pods that a workload makes.
fn pod(object: &Planned) -> Option<&Value> {
    matches!(object.kind, Kind::Deployment | Kind::StatefulSet | Kind::Job)
        .then(|| &object.body["spec"]["template"]["spec"])
}

/// As the API server returns an applied object: with defaults in every map, and without empty maps and lists.
fn stored(planned: &Value) -> Value {
    match planned {
        Value::Object(fields) => {
            let is_empty = |value: &Value| {
                value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(Map::is_empty)
            };
            let kept = fields.iter().filter(|(_, value)| !is_empty(value));
            let mut stored: Map<_, _> = kept.map(|(key, value)| (key.clone(), stored(value))).collect();
            stored.insert("aDefault".to_owned(), "of the API server".into());
            Value::Object(stored)
        }
        Value::Array(items) => items.iter().map(stored).collect(),
        other => other.clone(),
    }
}

fn live(object: &Planned) -> DynamicObject {
    let mut stored = stored(&object.body);
    // Metadata has no room for what it does not know, and neither a policy nor a selector has defaults.
    stored["metadata"] = object.body["metadata"].clone();
    match object.kind {
        Kind::NetworkPolicy => stored["spec"] = object.body["spec"].clone(),
        Kind::Service => stored["spec"]["selector"] = object.body["spec"]["selector"].clone(),
        _ => {}
    }
    serde_json::from_value(stored).unwrap()
}

/// All texts in a document.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Environment variables whose value is in the object itself and looks like something to keep secret.
fn plain_secrets(pod: &Value) -> Vec<&str> {
    let containers = ["initContainers", "containers"].iter().filter_map(|kind| pod[kind].as_array()).flatten();
    let variables = containers.filter_map(|container| container["env"].as_array()).flatten();
    variables
        .filter(|variable| !variable["value"].is_null())
        .filter_map(|variable| variable["name"].as_str())
        .filter(|name| ["PASSWORD", "SECRET", "CREDENTIAL"].iter().any(|word| name.contains(word)))
        .collect()
}

/// Whether a text can be a label's value.
fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.is_empty()
        || (text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().last()) && text.chars().all(inner))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn planning_twice_is_the_same(stack in any_stack()) {
        prop_assert_eq!(stack.planned(), stack.planned());
    }

    #[test]
    fn a_plan_applied_is_satisfied_and_its_workloads_are_not_rendered_anew(stack in any_stack()) {
        let operator = operator();
        let blueprint = stack.blueprint(&operator);
        let objects = stack.planned();
        for object in &objects {
            prop_assert_eq!(object.differences(&live(object)), Vec::<String>::new(), "{}", title(object));
            let annotations = Some(&object.body["metadata"]["annotations"]);
            let (again, pending) = match (object.kind, &blueprint.server) {
                (Kind::StatefulSet, Server::Embedded(settings)) => postgres::objects(&blueprint, settings, annotations),
                (Kind::Deployment, _) => {
                    let released = stack.release.spec.services.iter().find(|one| one.name == object.name).unwrap();
                    service::objects(&blueprint, released, annotations)
                }
                _ => continue,
            };
            prop_assert!(!pending && again.contains(object), "{} is rendered anew", title(object));
        }
    }

    #[test]
    fn names_never_collide_and_stay_within_the_stacks_namespace(stack in any_stack()) {
        let objects = stack.planned();
        let keys: BTreeSet<_> = objects.iter().map(|object| (object.kind, &object.namespace, &object.name)).collect();
        prop_assert_eq!(keys.len(), objects.len());
        let namespace = stack.home().namespace();
        for object in &objects {
            let place = if object.kind == Kind::Namespace { &object.name } else { &object.namespace };
            prop_assert_eq!(place, &namespace);
            prop_assert!(object.name.len() <= 63, "{}", title(object));
        }
    }

    #[test]
    fn two_stacks_share_no_object(one in any_stack(), other in any_stack(), name in name(40)) {
        let renamed = one.named(&name);
        let keys = |stack: &Stack| -> BTreeSet<_> {
            stack.planned().into_iter().map(|object| (object.kind, object.namespace, object.name)).collect()
        };
        for second in [other, renamed].iter().filter(|second| second.home() != one.home()) {
            prop_assert!(keys(&one).is_disjoint(&keys(second)));
        }
    }

    #[test]
    fn what_is_made_for_a_tenant_is_never_what_is_made_for_a_stack(stack in any_stack(), tenant in name(40)) {
        let context = format!("tenant-{tenant}");
        for object in stack.planned().iter().filter(|object| object.kind == Kind::ConfigMap) {
            prop_assert_ne!(&object.name, &context);
            prop_assert!(!object.name.starts_with("tenant-"), "{} may be a tenant's", title(object));
        }
    }

    #[test]
    fn every_pod_is_restricted_and_writes_no_root(stack in any_stack()) {
        for object in stack.planned() {
            if let Some(pod) = pod(&object) {
                prop_assert_eq!(violations(pod), Vec::<String>::new(), "{}", title(&object));
                let has_token = pod["automountServiceAccountToken"] != false;
                prop_assert!(!has_token || (object.kind, object.name.as_str()) == (Kind::Deployment, "tenant-service"));
            }
        }
    }

    #[test]
    fn a_service_reaches_the_pods_of_its_workload_alone(stack in any_stack()) {
        let objects = stack.planned();
        for service in objects.iter().filter(|object| object.kind == Kind::Service) {
            let selector = service.body["spec"]["selector"].as_object().unwrap();
            let selected: Vec<_> = objects
                .iter()
                .filter(|object| pod(object).is_some())
                .filter(|object| {
                    let labels = &object.body["spec"]["template"]["metadata"]["labels"];
                    selector.iter().all(|(key, value)| labels[key] == *value)
                })
                .map(|object| (object.kind, object.name.as_str()))
                .collect();
            let kind = if service.name == "postgres" { Kind::StatefulSet } else { Kind::Deployment };
            prop_assert_eq!(selected, vec![(kind, service.name.as_str())]);
        }
    }

    #[test]
    fn every_object_says_whose_it_is_and_hangs_on_nothing(stack in any_stack()) {
        let home = stack.home();
        for object in stack.planned() {
            let metadata = &object.body["metadata"];
            prop_assert!(metadata["ownerReferences"].is_null(), "{}", title(&object));
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/managed-by"], "easycode-operator");
            prop_assert_eq!(&metadata["labels"][home.label()], home.name());
            for (label, value) in metadata["labels"].as_object().unwrap() {
                prop_assert!(is_label_value(value.as_str().unwrap()), "{label}: {value}");
            }
        }
    }

    #[test]
    fn passwords_are_in_secrets_alone(stack in any_stack()) {
        let operator = operator();
        let blueprint = stack.blueprint(&operator);
        let server = postgres::operator_credentials(&blueprint.namespace(), "the-operators-password", "CA".into(), true);
        let (logins, objects) = secrets::logins(&blueprint, &server, &BTreeMap::new()).unwrap();
        let passwords: Vec<_> = logins
            .iter()
            .flat_map(|login| [login.service_password.as_str(), login.migration_password.as_str()])
            .collect();
        prop_assert_eq!(passwords.iter().collect::<BTreeSet<_>>().len(), 2 * blueprint.services().len());
        for object in &objects {
            prop_assert_eq!(object.kind, Kind::Secret);
            prop_assert!(object.body["metadata"]["ownerReferences"].is_null());
            let data: BTreeMap<String, ByteString> = serde_json::from_value(object.body["data"].clone()).unwrap();
            prop_assert!(passwords.iter().any(|password| data["password"].0 == password.as_bytes()));
        }
        for object in stack.planned() {
            prop_assert!(object.kind != Kind::Secret);
            for text in texts(&object.body) {
                prop_assert!(!passwords.iter().any(|password| text.contains(password)), "{}", title(&object));
            }
            prop_assert_eq!(pod(&object).map(plain_secrets).unwrap_or_default(), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_login_once_made_is_kept(stack in any_stack()) {
        let operator = operator();
        let blueprint = stack.blueprint(&operator);
        let server = postgres::operator_credentials(&blueprint.namespace(), "p", "CA".into(), true);
        let (first, objects) = secrets::logins(&blueprint, &server, &BTreeMap::new()).unwrap();
        let present = objects
            .into_iter()
            .map(|object| (object.name, Kept::from(serde_json::from_value::<Secret>(object.body).unwrap())))
            .collect();
        let (again, changed) = secrets::logins(&blueprint, &server, &present).unwrap();
        prop_assert!(first == again && changed.is_empty());
    }

    #[test]
    fn only_the_postgres_that_is_asked_for_is_made(stack in any_stack()) {
        let operator = operator();
        let servers: Vec<_> = stack
            .planned()
            .into_iter()
            .map(|object| object.kind)
            .filter(|kind| [Kind::StatefulSet, Kind::Cluster].contains(kind))
            .collect();
        let expected = match stack.blueprint(&operator).server {
            Server::Embedded(_) => vec![Kind::StatefulSet],
            Server::CloudNativePg(..) => vec![Kind::Cluster],
            Server::External(_) => Vec::new(),
        };
        prop_assert_eq!(servers, expected);
    }

    #[test]
    fn an_instance_runs_what_its_tenant_may_use_and_nothing_else(stack in any_instance()) {
        let Asks::Instance(_, tenant) = &stack.asks else { unreachable!("an instance was asked for") };
        let released = |name: &str| stack.release.spec.services.iter().any(|service| service.name == name);
        let entitled = tenant.iter().flat_map(|tenant| &tenant.spec.entitlements).map(|one| one.service.as_str());
        let expected: BTreeSet<_> =
            entitled.chain(["tenant-service"]).filter(|name| released(name)).map(str::to_owned).collect();
        let objects = stack.planned();
        for kind in [Kind::Deployment, Kind::ServiceAccount, Kind::PodDisruptionBudget] {
            let running: BTreeSet<_> =
                objects.iter().filter(|object| object.kind == kind).map(|object| object.name.clone()).collect();
            prop_assert_eq!(&running, &expected, "{:?}", kind);
        }
    }

    #[test]
    fn no_pod_of_an_instance_may_run_outside_of_its_region(stack in any_instance()) {
        let Asks::Instance(instance, _) = &stack.asks else { unreachable!("an instance was asked for") };
        let location = &instance.spec.location;
        for object in stack.planned() {
            let bound = match object.kind {
                Kind::Cluster => &object.body["spec"]["affinity"],
                _ => match pod(&object) {
                    Some(pod) => pod,
                    None => continue,
                },
            };
            prop_assert_eq!(&bound["nodeSelector"]["topology.kubernetes.io/region"], &location.region);
            for (label, value) in &location.node_selector {
                prop_assert_eq!(&bound["nodeSelector"][label], value, "{}", title(&object));
            }
            let tolerations = bound["tolerations"].as_array().map(Vec::len).unwrap_or_default();
            prop_assert_eq!(tolerations, location.tolerations.len());
            // CloudNativePG restarts a pod for ever whose Cluster has an empty list.
            prop_assert!(object.kind != Kind::Cluster || bound.get("tolerations").is_none() == location.tolerations.is_empty());
        }
    }

    #[test]
    fn what_a_quota_counts_every_container_names(stack in any_instance()) {
        let Asks::Instance(instance, _) = &stack.asks else { unreachable!("an instance was asked for") };
        let quota = instance.spec.isolation.quota.clone().unwrap_or_default();
        let counted = [("cpu", quota.cpu.is_some()), ("memory", quota.memory.is_some())];
        for object in stack.planned() {
            let resources: Vec<_> = match (object.kind, pod(&object)) {
                (Kind::Cluster, _) => vec![&object.body["spec"]["resources"]],
                (_, Some(pod)) => pod["containers"].as_array().unwrap().iter().map(|one| &one["resources"]).collect(),
                _ => continue,
            };
            for (resource, _) in counted.iter().filter(|(_, counted)| *counted) {
                for resources in &resources {
                    // A request that is not named is the limit.
                    prop_assert!(!resources["limits"][resource].is_null(), "{}: {resources}", title(&object));
                }
            }
        }
    }
}

#[test]
fn a_password_in_the_environment_is_noticed() {
    let with = |variable: Value| json!({ "containers": [{ "env": [variable] }] });
    assert_eq!(plain_secrets(&with(json!({ "name": "PGPASSWORD", "value": "x" }))), ["PGPASSWORD"]);
    let referred = json!({ "name": "PGPASSWORD", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } });
    assert_eq!(plain_secrets(&with(referred)), [""; 0]);
}
