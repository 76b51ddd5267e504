//! The embedded Postgres: one pod with a persistent volume. For replication and backups ops choose an external one.

use easycode_crds::platform::EmbeddedDatabase;
use serde_json::{Value, json};

use super::{Blueprint, certificates, container_security, pod_security, secrets::Secrets, workload};
use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned, short_hash},
    },
    postgres::credentials::Credentials,
};

/// Name of the StatefulSet, its Service and its pods' `app.kubernetes.io/name`.
pub(crate) const NAME: &str = "postgres";
/// Secret with the operator's login.
pub(crate) const OPERATOR_SECRET: &str = "postgres-operator";
/// The operator's login.
pub(crate) const OPERATOR_LOGIN: &str = "easycode_operator";
/// The user that the official image has, too.
pub(crate) const USER: i64 = 999;
/// Memory limit of a Postgres of which nothing is said.
const MEMORY: &str = "2Gi";
const START: &str = include_str!("postgres_start.sh");
/// Name of the volume with the certificate.
const CERTIFICATE_VOLUME: &str = "tls";
const HBA: &str = "\
# Only the operator and the services' logins come over the network, encrypted; the superuser is reached from within the pod
# alone.
local     all postgres peer
host      all postgres all reject
hostssl   all all      all scram-sha-256
hostnossl all all      all reject
";
/// Of pods that were rendered before there was a certificate.
const HBA_BEFORE: &str = "\
local all postgres peer
host  all postgres all reject
host  all all      all scram-sha-256
";

/// How the operator logs in, given its password and what it is to trust. A server that does not require encryption yet is
/// spoken to without, if need be.
#[must_use]
pub fn operator_credentials(namespace: &str, password: &str, authority: String, encrypted: bool) -> Credentials {
    Credentials {
        host: format!("{NAME}.{namespace}.svc"),
        port: 5432,
        user: OPERATOR_LOGIN.to_owned(),
        password: password.to_owned(),
        dbname: "easycode".to_owned(),
        sslmode: if encrypted { "verify-full" } else { "prefer" }.to_owned(),
        ca: Some(authority),
    }
}

/// Whether the Postgres that runs requires encryption: one of before goes on as it is until its rendering is applied.
#[must_use]
pub fn is_encrypted(live: Option<&Value>, present: &Secrets) -> bool {
    let Some(live) = live else { return true };
    let volumes = live["spec"]["template"]["spec"]["volumes"].as_array();
    let rendered = volumes.into_iter().flatten().any(|volume| volume["name"] == CERTIFICATE_VOLUME);
    // While pods are replaced, the two differ. It is not asked again later, since then both pods have it.
    let status = &live["status"];
    let arrived = status["updateRevision"].is_string() && status["currentRevision"] == status["updateRevision"];
    let was = present.get(OPERATOR_SECRET).and_then(|kept| kept.text("sslmode")) == Some("verify-full");
    rendered && (arrived || was)
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
    let configuration = configuration(settings);
    let mut rendered = stateful_set(settings, &object_labels);
    workload::fit(blueprint, &mut inputs, &mut rendered);
    keep_fixed(&mut rendered, live);
    let live = live.filter(|_| !blueprint.renews);
    // So that a change of the settings reaches the running server.
    rendered["spec"]["template"]["metadata"]["annotations"]["easycode.io/configuration"] =
        short_hash(&json!([configuration, HBA, START])).into();
    rendered["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] = object_labels.clone();
    let (stateful_set, pending) =
        workload::keep_or_render(Kind::StatefulSet, &namespace, NAME, &inputs, rendered, live);
    let config = json!({
        "metadata": { "labels": object_labels },
        "data": {
            "start.sh": START, "pg_hba.conf": HBA_BEFORE, "pg_hba_tls.conf": HBA, "postgresql.conf": configuration,
        },
    });
    let objects = vec![
        Planned::new(Kind::Service, &namespace, NAME, service),
        Planned::new(Kind::ConfigMap, &namespace, NAME, config),
        stateful_set,
    ];
    (objects, pending)
}

/// What a StatefulSet can never change stays as it was rendered first.
fn keep_fixed(rendered: &mut Value, live: Option<&Value>) {
    let before = live.and_then(|annotations| annotations[labels::RENDERED].as_str());
    let before = before.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let (Some(before), Some(spec)) = (before, rendered["spec"].as_object_mut())
        && before["spec"]["podManagementPolicy"].is_null()
    {
        spec.remove("podManagementPolicy");
    }
}

fn configuration(settings: &EmbeddedDatabase) -> String {
    let connections = settings.max_connections;
    // What is not limited is taken to be small.
    let memory = memory(settings).unwrap_or(1024).max(256);
    // A quarter for the buffers is Postgres' own advice; the rest is the sessions' and, for files, the kernel's.
    let buffers = memory / 4;
    let cache = memory * 3 / 4;
    let maintenance = (memory / 16).clamp(16, 1024);
    // A query may sort in several places at once.
    let work = ((memory - buffers) * 1024 / (u64::from(connections) * 3)).clamp(1024, 65_536);
    // The log must not fill the volume, and a checkpoint should be rare on one that is large.
    let log = ((settings.size.bytes() / 10) >> 20).clamp(96, 8192);
    format!(
        "\
listen_addresses = '*'
unix_socket_directories = '/tmp'
max_connections = {connections}
shared_buffers = {buffers}MB
effective_cache_size = {cache}MB
work_mem = {work}kB
maintenance_work_mem = {maintenance}MB
max_wal_size = {log}MB
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
"
    )
}

/// The memory limit in mebibytes.
fn memory(settings: &EmbeddedDatabase) -> Option<u64> {
    match &settings.resources {
        Some(resources) => mebibytes(&resources.limits.as_ref()?.get("memory")?.0),
        None => mebibytes(MEMORY),
    }
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
        || json!({ "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "memory": MEMORY } }),
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
            // Otherwise a pod that never starts, by a wrong image say, is waited for and never replaced by a better one.
            "podManagementPolicy": "Parallel",
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
                        // Often, since a restarted kubelet takes a pod for unready until it has asked.
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
                            { "name": CERTIFICATE_VOLUME, "mountPath": "/etc/easycode/tls" },
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
                        { "name": CERTIFICATE_VOLUME, "secret": {
                            "secretName": certificates::SECRET, "defaultMode": 0o440,
                            "items": [
                                { "key": certificates::CERTIFICATE, "path": "tls.crt" },
                                { "key": certificates::KEY, "path": "tls.key" },
                            ],
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

#[cfg(test)]
mod tests {
    use easycode_crds::scalars::Storage;

    use super::{super::secrets, *};

    fn live(volume: &str, current: &str, update: &str) -> Value {
        json!({
            "spec": { "template": { "spec": { "volumes": [{ "name": "data" }, { "name": volume }] } } },
            "status": { "currentRevision": current, "updateRevision": update },
        })
    }

    fn told(sslmode: &str) -> Secrets {
        let kept = secrets::Kept::new([("sslmode", sslmode.to_owned())], Vec::<(String, String)>::new());
        Secrets::from([(OPERATOR_SECRET.to_owned(), kept)])
    }

    #[test]
    fn encryption_is_required_once_the_pod_that_does_has_replaced_the_one_before() {
        assert!(is_encrypted(None, &Secrets::new()));
        assert!(!is_encrypted(Some(&live("tmp", "a", "a")), &told("prefer")));
        assert!(!is_encrypted(Some(&live(CERTIFICATE_VOLUME, "a", "b")), &told("prefer")));
        assert!(is_encrypted(Some(&live(CERTIFICATE_VOLUME, "b", "b")), &told("prefer")));
        // Replaced again, by one that does, too.
        assert!(is_encrypted(Some(&live(CERTIFICATE_VOLUME, "b", "c")), &told("verify-full")));
    }

    #[test]
    fn the_order_of_a_set_from_before_is_not_changed() {
        let of = |rendering: Value| json!({ labels::RENDERED: rendering.to_string() });
        for (live, kept) in [
            (None, true),
            (Some(of(json!({ "spec": { "podManagementPolicy": "Parallel" } }))), true),
            (Some(of(json!({ "spec": {} }))), false),
        ] {
            let mut rendered = stateful_set(&EmbeddedDatabase::default(), &json!({}));
            keep_fixed(&mut rendered, live.as_ref());
            assert_eq!(rendered["spec"]["podManagementPolicy"].is_string(), kept, "{live:?}");
        }
    }

    #[test]
    fn memory_and_volume_set_the_configuration() {
        let small = configuration(&EmbeddedDatabase { size: Storage::from_gib(1), ..EmbeddedDatabase::default() });
        for line in
            ["shared_buffers = 512MB", "effective_cache_size = 1536MB", "work_mem = 2621kB", "max_wal_size = 102MB"]
        {
            assert!(small.contains(line), "{line}: {small}");
        }
    }
}
