//! One service: its account, its Deployment, its Service and its disruption budget.

use easycode_contract::runtime;
use easycode_crds::release::ReleasedService;
use serde_json::{Value, json};

use super::{
    super::blueprint::{Autoscaling, ServiceSettings},
    Blueprint, DATABASE_CLIENT, USER,
    base::IDENTITY,
    container_security, network, pod_security, secrets, signing_keys, workload,
};
use crate::kubernetes::object::{Kind, Planned, short_hash};

/// The account of a service, which holds no rights and whose token is not mounted.
#[must_use]
pub fn service_account(blueprint: &Blueprint, service: &str) -> Planned {
    let body = json!({
        "metadata": { "labels": blueprint.home.labels(service) },
        "automountServiceAccountToken": false,
    });
    Planned::new(Kind::ServiceAccount, &blueprint.namespace(), service, body)
}

/// Kinds of the objects of a service.
pub const KINDS: [Kind; 5] =
    [Kind::Service, Kind::Deployment, Kind::PodDisruptionBudget, Kind::ConfigMap, Kind::HorizontalPodAutoscaler];

/// The objects that a service has by the blueprint, by kind and name.
#[must_use]
pub fn names(blueprint: &Blueprint, service: &ReleasedService) -> Vec<(Kind, String)> {
    objects(blueprint, service, None).0.into_iter().map(|object| (object.kind, object.name)).collect()
}

/// Service, Deployment, disruption budget, and what else the service is given; `live` are the annotations of the Deployment that runs.
#[must_use]
pub fn objects(blueprint: &Blueprint, service: &ReleasedService, live: Option<&Value>) -> (Vec<Planned>, bool) {
    let namespace = blueprint.namespace();
    let settings = blueprint.settings_of(&service.name);
    let object_labels = blueprint.home.service_labels(&service.name, &blueprint.release.spec.version);
    let selector = json!({ "app.kubernetes.io/name": service.name, "app.kubernetes.io/component": "service" });
    let budget = json!({
        "metadata": { "labels": object_labels },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": selector } },
    });
    let endpoint = json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [{ "name": "http", "port": runtime::API_PORT, "targetPort": "http", "protocol": "TCP" }],
        },
    });
    let identity = blueprint.identity;
    let mut inputs = json!({
        "image": blueprint.image_of(service),
        "release": blueprint.release.spec.version,
        "size": settings,
        "issuer": identity.issuer,
        "jwksUri": identity.jwks_uri,
        "requested": blueprint.requested,
    });
    let mut rendered = deployment(blueprint, service, &settings, &object_labels, &selector);
    if service.name == runtime::USER_SERVICE && !identity.private_issuers.is_empty() {
        inputs["privateIssuers"] = json!(identity.private_issuers);
    }
    workload::fit(blueprint, &mut inputs, &mut rendered);
    let live = live.filter(|_| !blueprint.renews);
    let (deployment, pending) =
        workload::keep_or_render(Kind::Deployment, &namespace, &service.name, &inputs, rendered, live);
    let mut objects = vec![
        Planned::new(Kind::Service, &namespace, &service.name, endpoint),
        deployment,
        Planned::new(Kind::PodDisruptionBudget, &namespace, &service.name, budget),
    ];
    objects.extend(files(blueprint, &settings, &object_labels));
    objects.extend(settings.autoscaling.map(|bounds| autoscaler(&namespace, &service.name, bounds, &object_labels)));
    (objects, pending)
}

/// Name of the ConfigMap with a service's extra configuration; those that begin with `tenant-` are the tenants' own.
fn files_name(service: &str) -> String {
    format!("extra-{service}")
}

fn files(blueprint: &Blueprint, settings: &ServiceSettings, object_labels: &Value) -> Option<Planned> {
    let body = json!({ "metadata": { "labels": object_labels }, "data": settings.files });
    let name = files_name(&settings.size.name);
    (!settings.files.is_empty()).then(|| Planned::new(Kind::ConfigMap, &blueprint.namespace(), &name, body))
}

fn autoscaler(namespace: &str, service: &str, bounds: Autoscaling, object_labels: &Value) -> Planned {
    let body = json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": service },
            "minReplicas": bounds.min_replicas,
            "maxReplicas": bounds.max_replicas,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": bounds.target_cpu_percent },
            } }],
        },
    });
    Planned::new(Kind::HorizontalPodAutoscaler, namespace, service, body)
}

/// The environment of a service's container, the same for serving and for migrating.
pub(crate) fn environment(blueprint: &Blueprint, service: &str, connections: u32) -> Vec<Value> {
    let identity = blueprint.identity;
    let namespace = blueprint.namespace();
    let jwks = identity.jwks_uri.clone().unwrap_or_else(|| runtime::JWKS_FILE.to_owned());
    let base_url = |service: &str| runtime::base_url(service, &namespace);
    let mut variables = vec![
        (runtime::SERVICE, service.to_owned()),
        (runtime::ISSUER, identity.issuer.clone()),
        (runtime::JWKS, jwks),
        (runtime::TENANT_SERVICE_URL, base_url(runtime::TENANT_SERVICE)),
        (runtime::DATABASE_CONNECTIONS, connections.to_string()),
        (runtime::NAMESPACE, namespace.clone()),
    ];
    if blueprint.runs(runtime::USER_SERVICE) {
        variables.push((runtime::USER_SERVICE_URL, base_url(runtime::USER_SERVICE)));
    }
    if service == runtime::USER_SERVICE {
        variables.push((runtime::STAFF_ACCOUNT, format!("{}/{}", blueprint.operator.namespace, network::STAFF)));
        if !identity.private_issuers.is_empty() {
            variables.push((runtime::PRIVATE_ISSUERS, identity.private_issuers.join(" ")));
        }
    }
    variables.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn deployment(
    blueprint: &Blueprint,
    service: &ReleasedService,
    settings: &ServiceSettings,
    object_labels: &Value,
    selector: &Value,
) -> Value {
    let mut pod_labels = object_labels.clone();
    pod_labels[DATABASE_CLIENT] = "true".into();
    let size = &settings.size;
    let resources = size.resources.as_ref().map_or_else(
        || json!({ "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } }),
        |resources| json!(resources),
    );
    let mut volumes = vec![
        json!({ "name": "database", "secret": { "secretName": secrets::service_secret(&service.name), "defaultMode": 0o440 } }),
        json!({ "name": "token", "projected": { "defaultMode": 0o440, "sources": [{ "serviceAccountToken": {
            "audience": runtime::TENANT_SERVICE_AUDIENCE, "expirationSeconds": 3600, "path": "token",
        } }] } }),
    ];
    let mut mounts = vec![
        json!({ "name": "database", "mountPath": runtime::DATABASE_DIR, "readOnly": true }),
        json!({ "name": "token", "mountPath": "/var/run/secrets/easycode", "readOnly": true }),
    ];
    if blueprint.identity.jwks.is_some() {
        volumes.push(json!({ "name": "identity", "configMap": { "name": IDENTITY } }));
        mounts.push(json!({ "name": "identity", "mountPath": "/etc/easycode/identity", "readOnly": true }));
    }
    if service.name == runtime::USER_SERVICE {
        volumes.push(
            json!({ "name": "signing-keys", "secret": { "secretName": signing_keys::SECRET, "defaultMode": 0o440 } }),
        );
        mounts.push(json!({ "name": "signing-keys", "mountPath": runtime::SIGNING_KEYS_DIR, "readOnly": true }));
    }
    if !settings.files.is_empty() {
        volumes.push(json!({ "name": "extra", "configMap": { "name": files_name(&service.name) } }));
        mounts.push(json!({ "name": "extra", "mountPath": "/etc/easycode/extra", "readOnly": true }));
    }
    let mut variables = environment(blueprint, &service.name, size.connections);
    variables.extend(settings.environment.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    let probe = |path: &str, period: u32| json!({ "httpGet": { "path": path, "port": "admin" }, "periodSeconds": period, "failureThreshold": 3 });
    let mut rendered = json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "replicas": size.replicas,
            "selector": { "matchLabels": selector },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "progressDeadlineSeconds": 300,
            "template": {
                "metadata": { "labels": pod_labels },
                "spec": {
                    "serviceAccountName": service.name,
                    // Only these talk to the API server: for ConfigMaps, and for the keys of other workloads' tokens.
                    "automountServiceAccountToken": runtime::COMMON_SERVICES.contains(&service.name.as_str()),
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 45,
                    "securityContext": pod_security(USER),
                    "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                        "weight": 100,
                        "podAffinityTerm": { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": selector } },
                    }] } },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector },
                    }],
                    "containers": [{
                        "name": "service",
                        "image": blueprint.image_of(service),
                        "imagePullPolicy": "IfNotPresent",
                        "env": variables,
                        "ports": [
                            { "name": "http", "containerPort": runtime::API_PORT, "protocol": "TCP" },
                            { "name": "admin", "containerPort": runtime::ADMIN_PORT, "protocol": "TCP" },
                        ],
                        "resources": resources,
                        "securityContext": container_security(),
                        "startupProbe": { "httpGet": { "path": "/livez", "port": "admin" }, "periodSeconds": 1, "failureThreshold": 60 },
                        "livenessProbe": probe("/livez", 10),
                        "readinessProbe": probe("/readyz", 2),
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    });
    if settings.autoscaling.is_some() {
        rendered["spec"].as_object_mut().expect("a spec is an object").remove("replicas");
    }
    if !settings.files.is_empty() {
        // So that a change of them rolls out.
        rendered["spec"]["template"]["metadata"]["annotations"]["easycode.io/extra"] =
            short_hash(&json!(settings.files)).into();
    }
    rendered
}
