//! One service: its account, its Deployment, its Service and its disruption budget.

use easycode_contract::runtime;
use easycode_crds::{platform::ServiceSize, release::ReleasedService};
use serde_json::{Value, json};

use super::{Blueprint, DATABASE_CLIENT, USER, base::IDENTITY, container_security, pod_security, secrets, workload};
use crate::kubernetes::{
    labels,
    object::{Kind, Planned},
};

/// The account of a service, which holds no rights and whose token is not mounted.
#[must_use]
pub fn service_account(blueprint: &Blueprint, service: &str) -> Planned {
    let body = json!({
        "metadata": { "labels": labels::of_platform(blueprint.name, service) },
        "automountServiceAccountToken": false,
    });
    Planned::new(Kind::ServiceAccount, &blueprint.namespace(), service, body)
}

/// The size of a service, by the spec or by default.
#[must_use]
pub fn size(blueprint: &Blueprint, service: &str) -> ServiceSize {
    let named = blueprint.spec.services.iter().find(|size| size.name == service).cloned();
    named.unwrap_or_else(|| ServiceSize { name: service.to_owned(), replicas: 1, resources: None, connections: 10 })
}

/// Service, Deployment and disruption budget; `live` are the annotations of the Deployment that runs.
#[must_use]
pub fn objects(blueprint: &Blueprint, service: &ReleasedService, live: Option<&Value>) -> (Vec<Planned>, bool) {
    let namespace = blueprint.namespace();
    let size = size(blueprint, &service.name);
    let object_labels = labels::of_service(blueprint.name, &service.name, &blueprint.release.spec.version);
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
    let identity = &blueprint.spec.identity;
    let inputs = json!({
        "image": service.image,
        "release": blueprint.release.spec.version,
        "size": size,
        "issuer": identity.issuer,
        "jwksUri": identity.jwks_uri,
        "requested": blueprint.requested,
    });
    let rendered = deployment(blueprint, service, &size, &object_labels, &selector);
    let (deployment, pending) =
        workload::keep_or_render(Kind::Deployment, &namespace, &service.name, &inputs, rendered, live);
    let objects = vec![
        Planned::new(Kind::Service, &namespace, &service.name, endpoint),
        deployment,
        Planned::new(Kind::PodDisruptionBudget, &namespace, &service.name, budget),
    ];
    (objects, pending)
}

/// The environment of a service's container, the same for serving and for migrating.
pub(crate) fn environment(blueprint: &Blueprint, service: &str, connections: u32) -> Vec<Value> {
    let identity = &blueprint.spec.identity;
    let namespace = blueprint.namespace();
    let jwks = identity.jwks_uri.clone().unwrap_or_else(|| runtime::JWKS_FILE.to_owned());
    [
        (runtime::SERVICE, service.to_owned()),
        (runtime::ISSUER, identity.issuer.clone()),
        (runtime::JWKS, jwks),
        (
            runtime::TENANT_SERVICE_URL,
            format!("http://{}.{namespace}.svc:{}", runtime::TENANT_SERVICE, runtime::API_PORT),
        ),
        (runtime::DATABASE_CONNECTIONS, connections.to_string()),
        (runtime::NAMESPACE, namespace),
    ]
    .into_iter()
    .map(|(name, value)| json!({ "name": name, "value": value }))
    .collect()
}

fn deployment(
    blueprint: &Blueprint,
    service: &ReleasedService,
    size: &ServiceSize,
    object_labels: &Value,
    selector: &Value,
) -> Value {
    let mut pod_labels = object_labels.clone();
    pod_labels[DATABASE_CLIENT] = "true".into();
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
    if blueprint.spec.identity.jwks.is_some() {
        volumes.push(json!({ "name": "identity", "configMap": { "name": IDENTITY } }));
        mounts.push(json!({ "name": "identity", "mountPath": "/etc/easycode/identity", "readOnly": true }));
    }
    let probe = |path: &str, period: u32| json!({ "httpGet": { "path": path, "port": "admin" }, "periodSeconds": period, "failureThreshold": 3 });
    json!({
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
                    // Only tenant-service talks to the API server.
                    "automountServiceAccountToken": service.name == runtime::TENANT_SERVICE,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 45,
                    "securityContext": pod_security(USER),
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector },
                    }],
                    "containers": [{
                        "name": "service",
                        "image": service.image,
                        "imagePullPolicy": "IfNotPresent",
                        "env": environment(blueprint, &service.name, size.connections),
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
    })
}
