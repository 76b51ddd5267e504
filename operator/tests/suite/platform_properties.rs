//! What holds for the plan of any platform.

use std::collections::{BTreeMap, BTreeSet};

use easycode_crds::{Release, SharedPlatform, platform::Provider};
use easycode_operator::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    platform::plan::blueprint,
    stack::{
        blueprint::Server,
        home::Home,
        plan::{self, postgres, secrets, service},
    },
};
use k8s_openapi::ByteString;
use kube::{ResourceExt, api::DynamicObject};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    arbitrary::{name, platform, release},
    examples::{operator, title},
    pod_security::violations,
};

fn any_platform() -> impl Strategy<Value = (SharedPlatform, Release)> {
    (name(40), release()).prop_flat_map(|(name, release)| (platform(name, &release), Just(release)))
}

fn planned(platform: &SharedPlatform, release: &Release) -> Vec<Planned> {
    plan::objects(&blueprint(platform, release, &operator()))
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
    // Metadata has no room for what it does not know.
    stored["metadata"] = object.body["metadata"].clone();
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
    fn planning_twice_is_the_same((platform, release) in any_platform()) {
        prop_assert_eq!(planned(&platform, &release), planned(&platform, &release));
    }

    #[test]
    fn a_plan_applied_is_satisfied_and_its_workloads_are_not_rendered_anew((platform, release) in any_platform()) {
        let operator = operator();
        let blueprint = blueprint(&platform, &release, &operator);
        let objects = planned(&platform, &release);
        for object in &objects {
            prop_assert_eq!(object.differences(&live(object)), Vec::<String>::new(), "{}", title(object));
            let annotations = Some(&object.body["metadata"]["annotations"]);
            let (again, pending) = match (object.kind, &blueprint.server) {
                (Kind::StatefulSet, Server::Embedded(settings)) => postgres::objects(&blueprint, settings, annotations),
                (Kind::Deployment, _) => {
                    let released = release.spec.services.iter().find(|one| one.name == object.name).unwrap();
                    service::objects(&blueprint, released, annotations)
                }
                _ => continue,
            };
            prop_assert!(!pending && again.contains(object), "{} is rendered anew", title(object));
        }
    }

    #[test]
    fn names_never_collide_and_stay_within_the_platforms_namespace((platform, release) in any_platform()) {
        let objects = planned(&platform, &release);
        let keys: BTreeSet<_> = objects.iter().map(|object| (object.kind, &object.namespace, &object.name)).collect();
        prop_assert_eq!(keys.len(), objects.len());
        let namespace = Home::Platform(platform.name_any()).namespace();
        for object in &objects {
            let place = if object.kind == Kind::Namespace { &object.name } else { &object.namespace };
            prop_assert_eq!(place, &namespace);
            prop_assert!(object.name.len() <= 63, "{}", title(object));
        }
    }

    #[test]
    fn two_platforms_share_no_object((one, release) in any_platform(), other in name(40)) {
        prop_assume!(one.name_any() != other);
        let mut second = one.clone();
        second.metadata.name = Some(other);
        let keys = |platform| -> BTreeSet<_> {
            planned(platform, &release).into_iter().map(|object| (object.kind, object.namespace, object.name)).collect()
        };
        prop_assert!(keys(&one).is_disjoint(&keys(&second)));
    }

    #[test]
    fn every_pod_is_restricted_and_writes_no_root((platform, release) in any_platform()) {
        for object in planned(&platform, &release) {
            if let Some(pod) = pod(&object) {
                prop_assert_eq!(violations(pod), Vec::<String>::new(), "{}", title(&object));
                let has_token = pod["automountServiceAccountToken"] != false;
                prop_assert!(!has_token || (object.kind, object.name.as_str()) == (Kind::Deployment, "tenant-service"));
            }
        }
    }

    #[test]
    fn a_service_reaches_the_pods_of_its_workload_alone((platform, release) in any_platform()) {
        let objects = planned(&platform, &release);
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
    fn every_object_says_whose_it_is_and_hangs_on_nothing((platform, release) in any_platform()) {
        for object in planned(&platform, &release) {
            let metadata = &object.body["metadata"];
            prop_assert!(metadata["ownerReferences"].is_null(), "{}", title(&object));
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/managed-by"], "easycode-operator");
            prop_assert_eq!(&metadata["labels"][labels::PLATFORM], &platform.name_any());
            for (label, value) in metadata["labels"].as_object().unwrap() {
                prop_assert!(is_label_value(value.as_str().unwrap()), "{label}: {value}");
            }
        }
    }

    #[test]
    fn passwords_are_in_secrets_alone((platform, release) in any_platform()) {
        let operator = operator();
        let blueprint = blueprint(&platform, &release, &operator);
        let server = postgres::operator_credentials(&blueprint.namespace(), "the-operators-password");
        let (logins, objects) = secrets::logins(&blueprint, &server, &BTreeMap::new()).unwrap();
        let passwords: Vec<_> = logins
            .iter()
            .flat_map(|login| [login.service_password.as_str(), login.migration_password.as_str()])
            .collect();
        prop_assert_eq!(passwords.iter().collect::<BTreeSet<_>>().len(), 2 * release.spec.services.len());
        for object in &objects {
            prop_assert_eq!(object.kind, Kind::Secret);
            prop_assert!(object.body["metadata"]["ownerReferences"].is_null());
            let data: BTreeMap<String, ByteString> = serde_json::from_value(object.body["data"].clone()).unwrap();
            prop_assert!(passwords.iter().any(|password| data["password"].0 == password.as_bytes()));
        }
        for object in planned(&platform, &release) {
            prop_assert!(object.kind != Kind::Secret);
            for text in texts(&object.body) {
                prop_assert!(!passwords.iter().any(|password| text.contains(password)), "{}", title(&object));
            }
            prop_assert_eq!(pod(&object).map(plain_secrets).unwrap_or_default(), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_login_once_made_is_kept((platform, release) in any_platform()) {
        let operator = operator();
        let blueprint = blueprint(&platform, &release, &operator);
        let server = postgres::operator_credentials(&blueprint.namespace(), "p");
        let (first, objects) = secrets::logins(&blueprint, &server, &BTreeMap::new()).unwrap();
        let present = objects
            .into_iter()
            .map(|object| (object.name, serde_json::from_value(object.body["data"].clone()).unwrap()))
            .collect();
        let (again, changed) = secrets::logins(&blueprint, &server, &present).unwrap();
        prop_assert!(first == again && changed.is_empty());
    }

    #[test]
    fn only_an_embedded_postgres_is_made((platform, release) in any_platform()) {
        let sets = planned(&platform, &release).into_iter().filter(|object| object.kind == Kind::StatefulSet).count();
        prop_assert_eq!(sets, usize::from(platform.spec.database.provider == Provider::Embedded));
    }
}

#[test]
fn a_password_in_the_environment_is_noticed() {
    let with = |variable: Value| json!({ "containers": [{ "env": [variable] }] });
    assert_eq!(plain_secrets(&with(json!({ "name": "PGPASSWORD", "value": "x" }))), ["PGPASSWORD"]);
    let referred = json!({ "name": "PGPASSWORD", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } });
    assert_eq!(plain_secrets(&with(referred)), [""; 0]);
}
