//! The embedded Postgres: one pod with a persistent volume. For replication and backups ops choose an external one.

use easycode_crds::platform::EmbeddedDatabase;
use serde_json::{Value, json};

use super::{Blueprint, container_security, pod_security, workload};
use crate::{
    kubernetes::object::{Kind, Planned},
    postgres::credentials::Credentials,
};

/// Name of the StatefulSet, its Service and its pods' `app.kubernetes.io/name`.
pub(crate) const NAME: &str = "postgres";
/// Secret with the operator's login.
pub(crate) const OPERATOR_SECRET: &str = "postgres-operator";
/// The operator's login.
pub(crate) const OPERATOR_LOGIN: &str = "easycode_operator";
/// The user that the official image has, too.
const USER: i64 = 999;
const START: &str = include_str!("postgres_start.sh");
const HBA: &str = "\
# Only the operator and the services' logins come over the network; the superuser is reached from within the pod alone.
local all postgres peer
host  all postgres all reject
host  all all      all scram-sha-256
";

/// How the operator logs in, given its password.
#[must_use]
pub fn operator_credentials(namespace: &str, password: &str) -> Credentials {
    Credentials {
        host: format!("{NAME}.{namespace}.svc"),
        port: 5432,
        user: OPERATOR_LOGIN.to_owned(),
        password: password.to_owned(),
        dbname: "easycode".to_owned(),
        sslmode: "disable".to_owned(),
        ca: None,
    }
}

/// Service, configuration and StatefulSet.
#[must_use]
pub fn objects(blueprint: &Blueprint, settings: &EmbeddedDatabase, live: Option<&Value>) -> (Vec<Planned>, bool) {
    let namespace = blueprint.namespace();
    let object_labels = blueprint.home.labels(NAME);
    let service = json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "type": "ClusterIP",
            "selector": { "app.kubernetes.io/name": NAME },
            "ports": [{ "name": "postgres", "port": 5432, "targetPort": 5432, "protocol": "TCP" }],
        },
    });
    let mut inputs = json!({
        "settings": settings,
        "release": blueprint.release.spec.version,
        "requested": blueprint.requested,
    });
    if !blueprint.nodes.is_any() {
        inputs["nodes"] = json!(blueprint.nodes);
    }
    let configuration = configuration(settings);
    let mut rendered = stateful_set(settings, &object_labels);
    workload::bind_to(&blueprint.nodes, &mut rendered);
    // So that a change of the settings reaches the running server.
    rendered["spec"]["template"]["metadata"]["annotations"]["easycode.io/configuration"] =
        workload::short_hash(&json!([configuration, HBA])).into();
    rendered["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] = object_labels.clone();
    let (stateful_set, pending) =
        workload::keep_or_render(Kind::StatefulSet, &namespace, NAME, &inputs, rendered, live);
    let config = json!({
        "metadata": { "labels": object_labels },
        "data": { "start.sh": START, "pg_hba.conf": HBA, "postgresql.conf": configuration },
    });
    let objects = vec![
        Planned::new(Kind::Service, &namespace, NAME, service),
        Planned::new(Kind::ConfigMap, &namespace, NAME, config),
        stateful_set,
    ];
    (objects, pending)
}

fn configuration(settings: &EmbeddedDatabase) -> String {
    // A quarter of the memory limit is Postgres' own advice for shared_buffers; 256 MiB where no limit is known.
    let buffers = settings
        .resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref()?.get("memory"))
        .and_then(|limit| mebibytes(&limit.0))
        .map_or(256, |limit| (limit / 4).max(64));
    format!(
        "\
listen_addresses = '*'
unix_socket_directories = '/tmp'
max_connections = {}
shared_buffers = {buffers}MB
# One server without replicas: small new relations are logged at commit, instead of a flush for each of their indexes.
wal_level = minimal
max_wal_senders = 0
# A batch of new tenants creates many relations in one transaction.
max_locks_per_transaction = 512
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] %u@%d '
# Statements could carry tenants' data.
log_statement = none
log_min_error_statement = panic
idle_in_transaction_session_timeout = 60s
temp_file_limit = 1GB
",
        settings.max_connections
    )
}

fn mebibytes(quantity: &str) -> Option<u64> {
    let number = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let amount: u64 = number.parse().ok()?;
    match &quantity[number.len()..] {
        "Mi" => Some(amount),
        "Gi" => Some(amount * 1024),
        "Ti" => Some(amount * 1024 * 1024),
        "M" => Some((amount * 1_000_000) >> 20),
        "G" => Some((amount * 1_000_000_000) >> 20),
        "" => Some(amount >> 20),
        _ => None,
    }
}

fn stateful_set(settings: &EmbeddedDatabase, object_labels: &Value) -> Value {
    let resources = settings.resources.as_ref().map_or_else(
        || json!({ "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "memory": "2Gi" } }),
        |resources| json!(resources),
    );
    let mut claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": settings.size } } },
    });
    if let Some(class) = &settings.storage_class {
        claim["spec"]["storageClassName"] = class.as_str().into();
    }
    let probe = json!({ "exec": { "command": ["pg_isready", "--host=/tmp", "--quiet"] } });
    let with = |mut probe: Value, period: u32, failures: u32| {
        probe["periodSeconds"] = period.into();
        probe["failureThreshold"] = failures.into();
        probe["timeoutSeconds"] = 5.into();
        probe
    };
    json!({
        "metadata": { "labels": object_labels },
        "spec": {
            "replicas": 1,
            "serviceName": NAME,
            "selector": { "matchLabels": { "app.kubernetes.io/name": NAME } },
            // What was claimed outlives the set, however it goes away.
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "template": {
                "metadata": { "labels": object_labels },
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": pod_security(USER),
                    "containers": [{
                        "name": NAME,
                        "image": settings.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "/etc/easycode/postgres/start.sh"],
                        "ports": [{ "name": "postgres", "containerPort": 5432, "protocol": "TCP" }],
                        "resources": resources,
                        "securityContext": container_security(),
                        // A long recovery after a crash must not be killed: liveness waits for the startup probe.
                        "startupProbe": with(probe.clone(), 1, 3600),
                        "readinessProbe": with(probe.clone(), 2, 3),
                        "livenessProbe": with(probe, 10, 6),
                        // A fast shutdown: SIGTERM would wait for every session to end.
                        "lifecycle": { "preStop": { "exec": { "command": [
                            "sh", "-c", "kill -INT \"$(head -1 /var/lib/postgresql/data/pgdata/postmaster.pid)\"",
                        ] } } },
                        "volumeMounts": [
                            { "name": "data", "mountPath": "/var/lib/postgresql/data" },
                            { "name": "config", "mountPath": "/etc/easycode/postgres" },
                            { "name": "operator", "mountPath": "/etc/easycode/operator" },
                            { "name": "tmp", "mountPath": "/tmp" },
                            { "name": "shm", "mountPath": "/dev/shm" },
                        ],
                    }],
                    "volumes": [
                        { "name": "config", "configMap": { "name": NAME, "defaultMode": 0o440 } },
                        { "name": "operator", "secret": {
                            "secretName": OPERATOR_SECRET, "defaultMode": 0o440,
                            "items": [{ "key": "password", "path": "password" }],
                        } },
                        { "name": "tmp", "emptyDir": {} },
                        { "name": "shm", "emptyDir": { "medium": "Memory" } },
                    ],
                },
            },
            "volumeClaimTemplates": [claim],
        },
    })
}
