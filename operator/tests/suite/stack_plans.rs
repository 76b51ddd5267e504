//! Snapshots of what is planned for platforms and instances: read them to see what the operator makes.

use std::sync::Arc;

use easycode_crds::{DedicatedInstance, SharedPlatform};
use easycode_operator::{instance, platform::plan::blueprint, stack::plan::objects};
use kube::ResourceExt;
use serde_json::json;

use crate::examples::{assert_snapshot, catalogue, objects_text, operator};

#[test]
fn the_platforms_of_the_examples() {
    let catalogue = catalogue();
    assert!(!catalogue.platforms.is_empty());
    for platform in &catalogue.platforms {
        let release = catalogue.release(&platform.spec.release).expect("the examples have the platform's release");
        let objects = objects(&blueprint(platform, release, &operator()));
        assert_snapshot(&format!("platform-{}", platform.name_any()), &objects_text(&objects));
    }
}

/// What is planned otherwise with a database elsewhere, an Ingress, keys by URL and sizes of one's own.
#[test]
fn a_platform_that_uses_what_the_example_does_not() {
    let catalogue = catalogue();
    let example = &catalogue.platforms[0];
    let release = catalogue.release(&example.spec.release).unwrap();
    let mut spec = json!(example.spec);
    spec["database"] = json!({
        "provider": "External", "external": { "secretRef": { "namespace": "easycode-system", "name": "managed-postgres" } },
    });
    spec["ingress"] = json!({ "className": "nginx", "controllerNamespace": "ingress-nginx", "tlsSecret": "erp-tls" });
    spec["identity"] =
        json!({ "issuer": "https://login.example.com", "jwksUri": "https://login.example.com/jwks.json" });
    spec["services"] = json!([{
        "name": "crm", "replicas": 3, "connections": 20,
        "resources": { "requests": { "cpu": "1" }, "limits": { "memory": "1Gi" } },
    }]);
    let mut other: SharedPlatform = Arc::unwrap_or_clone(Arc::clone(example));
    other.spec = serde_json::from_value(spec).unwrap();

    let planned_before = objects(&blueprint(example, release, &operator()));
    let mut objects = objects(&blueprint(&other, release, &operator()));
    objects.retain(|object| !planned_before.contains(object));
    assert_snapshot("platform-with-external-database-and-ingress", &objects_text(&objects));
}

#[test]
fn the_instances_of_the_examples() {
    let catalogue = catalogue();
    assert!(!catalogue.instances.is_empty());
    for instance in &catalogue.instances {
        let release = catalogue.wanted(&instance.spec.release).expect("the examples have the instance's release");
        let tenant = catalogue.tenant(&instance.spec.tenant_ref.name);
        let operator = operator();
        let objects = objects(&instance::plan::blueprint(instance, tenant, &release, &operator));
        assert_snapshot(&format!("instance-{}", instance.name_any()), &objects_text(&objects));
    }
}

/// What is planned otherwise with bounds, a route, a database by CloudNativePG and services of the client's own.
#[test]
fn an_instance_that_uses_what_the_example_does_not() {
    let catalogue = catalogue();
    let example = &catalogue.instances[0];
    let release = catalogue.wanted(&example.spec.release).unwrap();
    let tenant = catalogue.tenant(&example.spec.tenant_ref.name);
    let mut spec = json!(example.spec);
    spec["database"] = json!({
        "provider": "CloudNativePG",
        "cloudNativePG": { "instances": 3, "size": "50Gi" },
    });
    spec["backup"] = json!({ "destinationPath": "s3://backups/dynamo", "credentialsSecret": "s3", "retention": "30d" });
    spec["location"] = json!({
        "region": "eu-central", "nodeSelector": { "easycode.io/pool": "dynamo" },
        "tolerations": [{ "key": "easycode.io/pool", "operator": "Equal", "value": "dynamo", "effect": "NoSchedule" }],
    });
    spec["ingress"] = json!({
        "host": "erp.dynamo.example", "controllerNamespace": "gateways",
        "gatewayRef": { "namespace": "gateways", "name": "public", "sectionName": "https" },
    });
    spec["isolation"] = json!({
        "quota": { "cpu": "8", "memory": "16Gi" }, "egress": [{ "cidr": "203.0.113.0/24", "ports": [443] }],
    });
    spec["services"] = json!([{
        "name": "crm", "image": "registry.example.com/dynamo/crm:1", "connections": 20,
        "autoscaling": { "minReplicas": 2, "maxReplicas": 6, "targetCPUPercent": 60 },
        "resources": { "requests": { "cpu": "1" } },
        "env": [{ "name": "APPROVAL_LEVELS", "value": "3" }], "config": { "receipt.html": "<p>Dynamo</p>" },
    }]);
    let mut other: DedicatedInstance = Arc::unwrap_or_clone(Arc::clone(example));
    other.spec = serde_json::from_value(spec).unwrap();
    let operator = operator();
    let plan = |instance| objects(&instance::plan::blueprint(instance, tenant, &release, &operator));
    let before = plan(example);
    let mut planned = plan(&other);
    planned.retain(|object| !before.contains(object));
    assert_snapshot("instance-with-everything", &objects_text(&planned));
}
