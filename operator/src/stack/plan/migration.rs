//! The job that publishes a service's migrations and brings every tenant's schema up to date.

use easycode_contract::runtime;
use easycode_crds::release::ReleasedService;
use serde_json::json;

use super::{Blueprint, DATABASE_CLIENT, USER, container_security, pod_security, secrets, service, workload};
use crate::kubernetes::object::{Kind, Planned, short_hash};

/// Name of the job of a service's image and schema version.
#[must_use]
pub fn job_name(blueprint: &Blueprint, released: &ReleasedService) -> String {
    let identity = json!([blueprint.image_of(released), released.schema_version]);
    format!("migrate-{}-{}", released.name, short_hash(&identity))
}

/// The job.
#[must_use]
pub fn job(blueprint: &Blueprint, released: &ReleasedService) -> Planned {
    let mut object_labels = blueprint.home.service_labels(&released.name, &blueprint.release.spec.version);
    object_labels["app.kubernetes.io/component"] = "migration".into();
    let mut pod_labels = object_labels.clone();
    pod_labels[DATABASE_CLIENT] = "true".into();
    let mut body = json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 3600,
            // Long enough to read its log the next day.
            "ttlSecondsAfterFinished": 86_400,
            "template": {
                "metadata": { "labels": pod_labels },
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": released.name,
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": pod_security(USER),
                    "containers": [{
                        "name": "migrate",
                        "image": blueprint.image_of(released),
                        "imagePullPolicy": "IfNotPresent",
                        "args": [runtime::MIGRATE_COMMAND],
                        "env": service::environment(blueprint, &released.name, 5),
                        "resources": { "requests": { "cpu": "20m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } },
                        "securityContext": container_security(),
                        "volumeMounts": [{ "name": "database", "mountPath": runtime::DATABASE_DIR, "readOnly": true }],
                    }],
                    "volumes": [{ "name": "database", "secret": {
                        "secretName": secrets::migration_secret(&released.name), "defaultMode": 0o440,
                    } }],
                },
            },
        },
    });
    workload::fit_pods(blueprint, &mut body);
    Planned::new(Kind::Job, &blueprint.namespace(), &job_name(blueprint, released), body)
}
