//! The chart: what it renders, what it refuses, and that its rights are the least that the operator can do with.

use std::{collections::BTreeSet, fs, path::Path};

use clap::{CommandFactory, Parser};
use easycode_operator::{
    kubernetes::object::Kind,
    runtime::{metrics::Metrics, options::Options},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    examples::assert_snapshot,
    helm::{CHART, helm, template},
    pod_security::violations,
};

/// Everything that is off by default.
const ALL_ON: [&str; 14] = [
    "image.digest=\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
    "imagePullSecrets=[{\"name\": \"registry\"}]",
    "podAnnotations={\"example.com/team\": \"ops\"}",
    "priorityClassName=\"system-cluster-critical\"",
    "nodeSelector={\"kubernetes.io/os\": \"linux\"}",
    "tolerations=[{\"key\": \"ops\", \"operator\": \"Exists\"}]",
    "affinity={\"nodeAffinity\": {}}",
    "topologySpreadConstraints=[{\"maxSkew\": 1, \"topologyKey\": \"zone\", \"whenUnsatisfiable\": \"DoNotSchedule\"}]",
    "serviceMonitor={\"enabled\": true, \"labels\": {\"prometheus\": \"main\"}}",
    "prometheusRule={\"enabled\": true, \"labels\": {\"prometheus\": \"main\"}}",
    "resyncSeconds=300",
    "dns={\"to\": [{\"namespaceSelector\": {\"matchLabels\": {\"kubernetes.io/metadata.name\": \"dns\"}}}], \"addresses\": [\"169.254.20.10\", \"10.0.0.0/28\"], \"ports\": [53, 5353]}",
    "deletionProtection=false",
    "clientAdmin={\"enabled\": true, \"url\": \"https://console.example.com\", \"openIDConnect\": {\"issuer\": \"https://login.example.com\", \"clientId\": \"console\", \"clientSecretName\": \"console\"}, \"roles\": {\"support\": [\"helpdesk\"], \"operations\": [\"ops\"], \"administrator\": [\"leads\"]}, \"sessionKeySecret\": \"session\", \"ingress\": {\"host\": \"console.example.com\", \"className\": \"nginx\", \"controllerNamespace\": \"ingress\", \"tlsSecret\": \"console-tls\", \"annotations\": {\"a\": \"b\"}}, \"egressPorts\": [8443]}",
];

fn rendered(values: &[&str]) -> Vec<Value> {
    template(Path::new(CHART), values).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn text(objects: &[Value]) -> String {
    objects.iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect::<Vec<_>>().join("---\n")
}

fn without_definitions(mut objects: Vec<Value>) -> Vec<Value> {
    objects.retain(|object| object["kind"] != "CustomResourceDefinition");
    objects
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let output = helm(&["lint", "--strict", CHART]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_chart_renders_the_same_each_time_and_as_in_the_snapshot() {
    let objects = rendered(&[]);
    assert_eq!(objects, rendered(&[]));
    assert_snapshot("chart", &text(&without_definitions(objects)));
}

#[test]
fn what_is_off_by_default_renders_as_in_the_snapshot() {
    let before = rendered(&[]);
    let mut objects = rendered(&ALL_ON);
    objects.retain(|object| !before.contains(object));
    assert_snapshot("chart-with-all-on", &text(&objects));
}

#[test]
fn definitions_are_those_of_the_types_and_outlive_the_chart() {
    let objects = rendered(&[]);
    let found: Vec<CustomResourceDefinition> = of_kind(&objects, "CustomResourceDefinition")
        .map(|definition| serde_json::from_value(definition.clone()).unwrap())
        .collect();
    let expected = easycode_crds::definitions();
    assert_eq!(found.len(), expected.len());
    for (file, mut definition) in expected {
        definition.annotations_mut().insert("helm.sh/resource-policy".into(), "keep".into());
        assert!(found.contains(&definition), "the chart has not what {file} has");
    }
}

/// The definitions are linked into the chart's folder; a package must carry them.
#[test]
fn a_package_renders_what_the_folder_does() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chart");
    let _ = fs::remove_dir_all(&folder);
    let output = helm(&["package", CHART, "--destination", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(template(&package, &[]).unwrap(), rendered(&[]));
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (value, named) in [
        ("replicas=0", "/replicas"),
        ("replicas=\"two\"", "/replicas"),
        ("image.tag=\"\"", "/image/tag"),
        ("image.tag=\"a b\"", "/image/tag"),
        ("image.repository=\"registry.example.com/operator:1.0\"", "/image/repository"),
        ("image.digest=\"sha256:short\"", "/image/digest"),
        ("image.pullPolicy=\"Sometimes\"", "/image/pullPolicy"),
        ("image.name=\"x\"", "'name'"),
        ("imagePullSecrets=[\"registry\"]", "/imagePullSecrets/0"),
        ("resources={\"limit\": {}}", "'limit'"),
        ("resources={\"limits\": {\"memory\": \"much\"}}", "/resources/limits/memory"),
        ("podAnnotations={\"a\": 1}", "/podAnnotations/a"),
        ("tolerations={\"key\": \"a\"}", "/tolerations"),
        ("topologySpreadConstraints=[{\"maxSkew\": 1}]", "/topologySpreadConstraints/0"),
        ("log=\"\"", "/log"),
        ("tenantConcurrency=0", "/tenantConcurrency"),
        ("platformConcurrency=101", "/platformConcurrency"),
        ("surveySeconds=0", "/surveySeconds"),
        ("resyncSeconds=1", "/resyncSeconds"),
        ("dns={\"to\": [{}]}", "/dns/to/0"),
        ("dns={\"to\": [{\"pods\": {}}]}", "'pods'"),
        ("dns={\"addresses\": [\"dns.example.com\"]}", "/dns/addresses/0"),
        ("dns={\"ports\": [0]}", "/dns/ports/0"),
        ("deletionProtection=\"yes\"", "/deletionProtection"),
        ("serviceMonitor={\"interval\": \"often\"}", "/serviceMonitor/interval"),
        ("prometheusRule={\"enable\": true}", "'enable'"),
        ("clientAdmin={\"url\": \"http://console.example.com\"}", "/clientAdmin/url"),
        ("clientAdmin={\"roles\": {\"admins\": []}}", "'admins'"),
        ("clientAdmin={\"enabled\": true}", "clientAdmin.url"),
        ("replica=3", "'replica'"),
    ] {
        let refusal = template(Path::new(CHART), &[value]).expect_err(value);
        assert!(refusal.contains(named), "{value}: {refusal}");
    }
}

/// Paths of all single values of the chart. Maps that a person fills, empty by default, count as one.
fn paths(values: &Value, path: &str, into: &mut Vec<String>) {
    match values.as_object().filter(|fields| !fields.is_empty() && !path.ends_with("resources")) {
        Some(fields) => {
            for (key, value) in fields {
                paths(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, into);
            }
        }
        None => into.push(path.to_owned()),
    }
}

#[test]
fn every_value_is_explained_in_the_comments_the_schema_and_the_readme() {
    let read = |file: &str| fs::read_to_string(format!("{CHART}/{file}")).unwrap();
    let (values_text, readme) = (read("values.yaml"), read("README.md"));
    let values: Value = serde_saphyr::from_str(&values_text).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut all = Vec::new();
    paths(&values, "", &mut all);
    assert!(all.len() > 20);
    for path in &all {
        assert!(readme.contains(&format!("| `{path}` |")), "README.md has no row for {path}");
        let key = path.rsplit('.').next().unwrap();
        let lines: Vec<_> = values_text.lines().map(str::trim).collect();
        let explained = |pair: &[&str]| pair[0].starts_with('#') && pair[1].starts_with(&format!("{key}:"));
        assert!(lines.windows(2).any(explained), "values.yaml has no comment above {path}");
        let described = &schema.pointer(&format!("/properties/{}/description", path.replace('.', "/properties/")));
        assert!(described.is_some_and(Value::is_string), "values.schema.json has no description of {path}");
    }
    let rows =
        readme.lines().filter(|line| line.starts_with("| `") && line.contains("` |") && !line.contains("Easycode"));
    assert_eq!(rows.count(), all.len(), "README.md explains values that there are not");
}

#[test]
fn every_pod_is_restricted() {
    for values in [&[][..], &ALL_ON[..]] {
        let objects = rendered(values);
        let mut deployments = of_kind(&objects, "Deployment").peekable();
        assert!(deployments.peek().is_some());
        for deployment in deployments {
            assert_eq!(violations(&deployment["spec"]["template"]["spec"]), [""; 0]);
        }
    }
}

#[test]
fn the_operator_knows_every_variable_and_name_that_the_chart_gives_it() {
    let objects = rendered(&ALL_ON);
    let named = |one: &&Value| one["metadata"]["name"] == "easycode-operator";
    let deployment = of_kind(&objects, "Deployment").find(named).unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let command = Options::command();
    let known: BTreeSet<_> =
        command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).chain(["RUST_LOG"]).collect();
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert!(known.contains(name), "{name} is no option of the operator");
    }
    let value = |name: &str| {
        container["env"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["value"].as_str().unwrap()
    };
    let dns = [
        ["--dns-to", value("EASYCODE_DNS_TO")],
        ["--dns-addresses", value("EASYCODE_DNS_ADDRESSES")],
        ["--dns-ports", value("EASYCODE_DNS_PORTS")],
    ];
    let egress = json!(
        Options::parse_from(["easycode-operator"].into_iter().chain(dns.into_iter().flatten()))
            .operator()
            .names
            .egress()
    );
    let to = json!([
        { "ipBlock": { "cidr": "10.0.0.0/28" } }, { "ipBlock": { "cidr": "169.254.20.10/32" } },
        { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "dns" } } },
    ]);
    assert_eq!(egress[0]["to"], to);
    assert_eq!(egress[0]["ports"].as_array().unwrap().len(), 4);
    // What the chart leaves out must be right by default.
    let defaults = Options::parse_from(["easycode-operator"]);
    assert_eq!(defaults.service_account, deployment["spec"]["template"]["spec"]["serviceAccountName"]);
    assert!(of_kind(&objects, "ClusterRole").any(|role| role["metadata"]["name"] == defaults.namespace_role));
    assert_eq!(i64::from(defaults.listen.port()), container["ports"][0]["containerPort"]);
}

/// One rule of a role, with the kind and name of the role.
fn rules(objects: &[Value]) -> Vec<(String, Value)> {
    objects
        .iter()
        .filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole")
        .flat_map(|role| {
            let name = format!("{} {}", role["kind"].as_str().unwrap(), role["metadata"]["name"].as_str().unwrap());
            role["rules"].as_array().unwrap().iter().map(move |rule| (name.clone(), rule.clone()))
        })
        .collect()
}

fn has(rule: &Value, field: &str, entry: &str) -> bool {
    rule[field].as_array().into_iter().flatten().any(|one| one == entry)
}

#[test]
fn rights_have_no_wildcard_and_allow_no_escalation() {
    let objects = rendered(&ALL_ON);
    assert!(rules(&objects).len() > 10);
    for (role, rule) in rules(&objects) {
        for field in ["apiGroups", "resources", "verbs"] {
            assert!(!has(&rule, field, "*"), "{role}: wildcard in {rule}");
        }
        for verb in ["escalate", "impersonate", "deletecollection", "approve", "sign"] {
            assert!(!has(&rule, "verbs", verb), "{role}: {rule}");
        }
        let named = rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty());
        assert!(!has(&rule, "verbs", "bind") || named, "{role} may bind any role: {rule}");
        // Pods may be looked at, and only in the operator's own namespaces.
        let listed = role == "ClusterRole easycode-operator-namespace" && rule["verbs"] == json!(["list"]);
        assert!(!has(&rule, "resources", "pods") || listed, "{role}: {rule}");
        for resource in ["pods/exec", "nodes", "serviceaccounts/token", "clusterrolebindings"] {
            assert!(!has(&rule, "resources", resource), "{role}: {rule}");
        }
        for kept in
            ["namespaces", "persistentvolumeclaims", "statefulsets", "clusters", "customresourcedefinitions", "tenants"]
        {
            let offboards = role == "ClusterRole easycode-client-admin" && kept == "tenants";
            let deletes = has(&rule, "resources", kept) && has(&rule, "verbs", "delete");
            assert!(!deletes || offboards, "{role} may delete: {rule}");
        }
    }
}

#[test]
fn secrets_are_in_reach_of_no_role_that_counts_everywhere() {
    let objects = rendered(&[]);
    let bound: Vec<_> =
        of_kind(&objects, "ClusterRoleBinding").map(|binding| binding["roleRef"]["name"].as_str().unwrap()).collect();
    assert_eq!(bound, ["easycode-operator"]);
    for (role, rule) in rules(&objects).iter().filter(|(role, _)| role == "ClusterRole easycode-operator") {
        assert!(!has(rule, "resources", "secrets"), "{role}: {rule}");
    }
}

#[test]
fn client_admin_may_write_tenants_and_instances_and_read_little_else() {
    let objects = rendered(&ALL_ON);
    let mut allowed = BTreeSet::new();
    for (_, rule) in rules(&objects).iter().filter(|(role, _)| role.ends_with("easycode-client-admin")) {
        for resource in rule["resources"].as_array().unwrap() {
            let verbs: Vec<_> = rule["verbs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            allowed.insert(format!("{}: {}", resource.as_str().unwrap(), verbs.join(" ")));
        }
    }
    let looks = ["tenants", "sharedplatforms", "dedicatedinstances", "releases", "releasechannels"];
    let mut expected: BTreeSet<_> = looks.map(|resource| format!("{resource}: get list watch")).into();
    expected.extend(["tenants", "dedicatedinstances"].map(|resource| format!("{resource}: create patch delete")));
    expected.insert("events: get list".to_owned());
    expected.insert("tenants/audit: get".to_owned());
    assert_eq!(allowed, expected);
}

#[test]
fn the_operator_may_make_and_watch_every_kind_that_it_plans() {
    let objects = rendered(&[]);
    for kind in Kind::ALL {
        let resource = kind.resource();
        // Looking everywhere; writing, and Secrets, only where the operator bound itself to the second role.
        let (everywhere, in_platforms) = ("ClusterRole easycode-operator", "ClusterRole easycode-operator-namespace");
        let (looks, makes) = (["get", "list", "watch"], ["create", "patch"]);
        let needed: Vec<_> = match kind {
            Kind::HTTPRoute | Kind::Cluster | Kind::ScheduledBackup => {
                ["get", "create", "patch"].map(|verb| (in_platforms, verb)).into()
            }
            Kind::Secret => ["get", "list", "create", "patch"].map(|verb| (in_platforms, verb)).into(),
            Kind::Namespace | Kind::RoleBinding => {
                looks.into_iter().chain(makes).map(|verb| (everywhere, verb)).collect()
            }
            _ => {
                looks.map(|verb| (everywhere, verb)).into_iter().chain(makes.map(|verb| (in_platforms, verb))).collect()
            }
        };
        for (role, verb) in needed {
            let allowed = rules(&objects).iter().any(|(name, rule)| {
                name == role
                    && has(rule, "apiGroups", &resource.group)
                    && has(rule, "resources", &resource.plural)
                    && has(rule, "verbs", verb)
            });
            assert!(allowed, "{role} does not allow to {verb} {}", resource.plural);
        }
    }
}

#[test]
fn alerts_ask_for_metrics_that_the_operator_has() {
    let metrics = Metrics::default();
    metrics.reconciled("tenant", "ok", std::time::Duration::from_millis(1));
    metrics.tenants("eu1", 1);
    metrics.isolation("SharedPlatform eu1", false);
    metrics.standing([("eu1", "AsPlanned")].into_iter(), [("eu1", true)].into_iter());
    let encoded = metrics.encode();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known: BTreeSet<_> = encoded.lines().filter_map(|line| line.split(|c| !is_name(c)).next()).collect();
    let objects = rendered(&ALL_ON);
    let groups = of_kind(&objects, "PrometheusRule").next().unwrap()["spec"]["groups"].as_array().unwrap();
    let readme = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    // The console counts as every service does; `up` is Prometheus's own, and volumes are measured by the kubelet.
    let others =
        ["http_requests_total", "up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];
    let known: BTreeSet<_> = known.into_iter().chain(others).collect();
    let is_metric = |word: &&str| {
        ["easycode_operator_", "http_", "kubelet_"].iter().any(|prefix| word.starts_with(prefix)) || *word == "up"
    };
    assert_eq!(groups.len(), 2, "those of the operator and of the console");
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let (alert, expression) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        let asked: Vec<_> = expression.split(|c| !is_name(c)).filter(is_metric).collect();
        assert!(!asked.is_empty(), "{alert}");
        assert!(asked.iter().all(|name| known.contains(name)), "{alert} asks for {asked:?}");
        assert!(readme.contains(&format!("| `{alert}` |")), "README.md does not list {alert}");
    }
}
