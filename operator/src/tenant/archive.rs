//! The last dump of a tenant before its data is erased: one job, one file a service, with checksums, on a volume that no
//! deletion touches.

use easycode_contract::{database::Identifier, runtime::TENANT_SERVICE};
use easycode_crds::Tenant;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    kubernetes::{
        job, labels,
        object::{Kind, Planned},
    },
    postgres::survey::TenantData,
    runtime::{context::Context, error::Error},
    stack::{
        home::Home,
        plan::{DATABASE_CLIENT, container_security, pod_security, postgres, secrets::migration_secret},
    },
};

const VOLUME: &str = "archive";
/// Waits until the server answers, for a minute and a half: an engine that enforces policies lets a new pod through after a moment.
const WAIT_FOR_SERVER: &str = "for trial in $(seq 30); do pg_isready --quiet --timeout=2 && break; sleep 1; done";

/// How far the archive came.
pub enum Progress {
    /// The dump is on the volume.
    Done,
    /// The job runs.
    Running,
    /// The job failed; a sentence with the way out.
    Failed(String),
}

/// Starts the job, or looks at it.
pub async fn progress(tenant: &Tenant, home: &Home, data: &TenantData, context: &Context) -> Result<Progress, Error> {
    let namespace = home.namespace();
    let planned = planned(tenant, home, data, context);
    let Some(live) = context.caches.get(Kind::Job, &namespace, &planned.name) else {
        // Its class can't be changed once it is there.
        if context.caches.get(Kind::PersistentVolumeClaim, &namespace, VOLUME).is_none() {
            context.applier.apply(&volume(home, context), &context.caches).await?;
        }
        context.applier.apply(&planned, &context.caches).await?;
        return Ok(Progress::Running);
    };
    Ok(match job::succeeded(&live) {
        Some(true) => Progress::Done,
        Some(false) => {
            let name = &planned.name;
            Progress::Failed(format!(
                "the last dump failed, so nothing is erased: read the log of job {namespace}/{name}, mend the cause and delete the job; it is made again"
            ))
        }
        None => Progress::Running,
    })
}

fn volume(home: &Home, context: &Context) -> Planned {
    let mut body = json!({
        "metadata": { "labels": home.labels(VOLUME) },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "20Gi" } } },
    });
    if let (_, Some(class)) = context.room(home) {
        body["spec"]["storageClassName"] = class.into();
    }
    Planned::new(Kind::PersistentVolumeClaim, &home.namespace(), VOLUME, body)
}

fn planned(tenant: &Tenant, home: &Home, data: &TenantData, context: &Context) -> Planned {
    let uid = tenant.uid().unwrap_or_default();
    let name = format!("archive-{}-{}", tenant.name_any(), uid.chars().take(8).collect::<String>());
    let folder = format!("/archive/{}/{uid}", tenant.name_any());
    let role = Identifier::tenant(&tenant.name_any()).map(|role| role.as_str().to_owned()).unwrap_or_default();
    let image = context.client_image(home);
    // The dump stays where the data may be, and the pod of a client's own nodes runs on these.
    let (nodes, _) = context.room(home);
    let container = |name: &str, script: String, env: Vec<Value>| {
        json!({
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-euc", script],
            "env": env,
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } },
            "securityContext": container_security(),
            "volumeMounts": [
                { "name": VOLUME, "mountPath": "/archive" },
                { "name": "tmp", "mountPath": "/tmp" },
                { "name": "authority", "mountPath": "/etc/easycode/authority" },
            ],
        })
    };
    let dumps: Vec<_> = data
        .schemas
        .keys()
        .map(|service| {
            let script = format!(
                "mkdir -p {folder}; {WAIT_FOR_SERVER}; pg_dump --format=custom --schema={role} --role={role} --file={folder}/{service}.part; mv {folder}/{service}.part {folder}/{service}.dump"
            );
            let secret = migration_secret(service);
            let env = [("PGHOST", "host"), ("PGPORT", "port"), ("PGUSER", "user"), ("PGPASSWORD", "password"), ("PGDATABASE", "dbname"), ("PGSSLMODE", "sslmode")]
                .map(|(variable, key)| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } }));
            let authority = json!({ "name": "PGSSLROOTCERT", "value": "/etc/easycode/authority/ca.crt" });
            container(service, script, env.into_iter().chain([authority]).collect())
        })
        .collect();
    let seal = container(
        "seal",
        format!(
            "mkdir -p {folder}; cd {folder}; : > SHA256SUMS; for dump in {dumped}; do pg_restore --list $dump >/dev/null; sha256sum $dump >> SHA256SUMS; done; sync; cat SHA256SUMS",
            dumped = data.schemas.keys().map(|service| format!("{service}.dump")).collect::<Vec<_>>().join(" ")
        ),
        Vec::new(),
    );
    let object_labels = home.labels(VOLUME);
    let mut job_labels = object_labels.clone();
    job_labels[labels::TENANT] = tenant.name_any().into();
    let mut pod_labels = job_labels.clone();
    pod_labels[DATABASE_CLIENT] = "true".into();
    let body = json!({
        "metadata": { "labels": job_labels },
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 7200,
            "ttlSecondsAfterFinished": 604_800,
            "template": {
                "metadata": { "labels": pod_labels },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "nodeSelector": nodes.selector,
                    "tolerations": nodes.tolerations,
                    "securityContext": pod_security(postgres::USER),
                    "initContainers": dumps,
                    "containers": [seal],
                    "volumes": [
                        { "name": VOLUME, "persistentVolumeClaim": { "claimName": VOLUME } },
                        { "name": "tmp", "emptyDir": {} },
                        // What the server is known by, the same for every service; an external one may have none.
                        { "name": "authority", "secret": {
                            "secretName": migration_secret(TENANT_SERVICE), "optional": true, "defaultMode": 0o440,
                            "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                        } },
                    ],
                },
            },
        },
    });
    Planned::new(Kind::Job, &home.namespace(), &name, body)
}
