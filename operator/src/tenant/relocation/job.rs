//! The objects of a move: the job that copies, the Secret it logs in with, and the two policies that let it through. The job
//! runs in the new home and pulls; it is deleted at the end, and the Secret, which it owns, with it.
//!
//! A client may choose what runs in an instance's namespace, and where. So the Secret has logins that may act as the moving tenant
//! alone, and the image is the platform's or the operator's own.

use std::fmt::Write;

use easycode_contract::database::Identifier;
use easycode_crds::{Tenant, tenant::Relocation};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    postgres::credentials::Credentials,
    runtime::context::Context,
    stack::{
        blueprint::Nodes,
        home::Home,
        plan::{DATABASE_CLIENT, container_security, network::any_address, pod_security, postgres},
    },
};

/// What the job's pods are named by their label.
const COMPONENT: &str = "move";
/// Where the Secret is mounted.
const FOLDER: &str = "/move";

/// Copies the services side by side. A copy is one transaction into a schema that the operator has emptied, so what an earlier
/// trial has left is a whole copy; whether it is complete is seen by comparing, so what the pipe's first program ends with only hastens the next trial. Statistics are not in a dump, and
/// whoever works on the copy needs them at once. What a server adds to an error can have rows in it, so it is not in the log:
/// `psql` can be told to leave it out, of the others only the lines of their own are taken.
const SCRIPT: &str = r#"
psql() { command psql -Xq -v ON_ERROR_STOP=1 -v VERBOSITY=terse "$@"; }
answers() { psql -At -d "service=$1" -c 'SELECT 1' >/dev/null; }
copy() {
  for side in from to; do
    for trial in $(seq 30); do answers "$side-$1" 2>/dev/null && break; sleep 1; done
    answers "$side-$1"
  done
  if [ "$(psql -At -d "service=to-$1" -c "SELECT count(*) FROM pg_tables WHERE schemaname = '$ROLE'")" != 0 ]; then
    echo "copied $1 before"
    return
  fi
  { pg_dump --format=custom --compress=0 --no-owner --no-acl --schema="$ROLE" -d "service=from-$1" 2>"/tmp/dump-$1" || touch "/tmp/broken-$1"; } |
    pg_restore --no-owner --no-acl --single-transaction --exit-on-error --schema="$ROLE" --role="$ROLE" -d "service=to-$1" 2>"/tmp/restore-$1" || touch "/tmp/broken-$1"
  sed -n '/^pg_/p' "/tmp/dump-$1" "/tmp/restore-$1" >&2
  [ ! -e "/tmp/broken-$1" ]
  psql -At -d "service=to-$1" -c "SELECT format('ANALYZE %I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = '$ROLE'" |
    { echo "SET ROLE \"$ROLE\";"; sed 's/$/;/'; } | psql -d "service=to-$1"
  echo "copied $1"
}
pids=
for service in $SERVICES; do copy "$service" & pids="$pids $!"; done
for pid in $pids; do wait "$pid"; done
"#;

/// Where a move goes, and how its job logs in.
pub struct Way<'a> {
    /// Whose move it is.
    pub tenant: &'a Tenant,
    /// The move.
    pub relocation: &'a Relocation,
    /// The old home.
    pub from: &'a Home,
    /// The new home.
    pub to: &'a Home,
}

/// How the pods of a home's Postgres are found.
pub enum Server {
    /// By a label.
    Pods(&'static str, &'static str),
    /// Not at all: it is outside, at this port.
    Outside(u16),
}

impl Way<'_> {
    /// Name of the job: another for each trial of a move.
    #[must_use]
    pub fn job_name(&self) -> String {
        let started = self.relocation.started_at.as_deref().unwrap_or_default();
        let digits: String = started.chars().filter(char::is_ascii_digit).collect();
        // Down to the second, from the time of day on: 40 characters for the name of the tenant, and 63 for all.
        let trial: String = digits.chars().skip(4).take(10).collect();
        format!("move-{}-{trial}", self.tenant.name_any())
    }

    /// Whether a live job was given logins of its own. Those of an operator before had the migrations' logins.
    #[must_use]
    pub fn has_own_login(live: &DynamicObject) -> bool {
        live.annotations().contains_key(labels::COPY_LOGIN)
    }

    /// Name of the policies.
    #[must_use]
    pub fn policy_name(&self) -> String {
        format!("move-{}", self.tenant.name_any())
    }

    /// Selects the job's pods.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("app.kubernetes.io/name={COMPONENT},{}={}", labels::TENANT, self.tenant.name_any())
    }

    fn pods(&self) -> Value {
        json!({ "matchLabels": { "app.kubernetes.io/name": COMPONENT, labels::TENANT: self.tenant.name_any() } })
    }

    fn labels(&self, home: &Home) -> Value {
        let mut all = home.labels(COMPONENT);
        all[labels::TENANT] = self.tenant.name_any().into();
        all
    }

    /// Lets the job's pods, and nobody else, reach the old home's Postgres.
    #[must_use]
    pub fn policies(&self, server: &Server) -> Vec<Planned> {
        let namespace = |home: &Home| json!({ "matchLabels": { "kubernetes.io/metadata.name": home.namespace() } });
        let policy = |home: &Home, spec| {
            let body = json!({ "metadata": { "labels": self.labels(home) }, "spec": spec });
            Planned::new(Kind::NetworkPolicy, &home.namespace(), &self.policy_name(), body)
        };
        let tcp = |port: u16| json!([{ "protocol": "TCP", "port": port }]);
        match server {
            Server::Pods(label, value) => {
                let servers = json!({ "matchLabels": { *label: value } });
                let from = json!([{ "namespaceSelector": namespace(self.to), "podSelector": self.pods() }]);
                let to = json!([{ "namespaceSelector": namespace(self.from), "podSelector": servers }]);
                vec![
                    policy(
                        self.from,
                        json!({ "podSelector": servers, "policyTypes": ["Ingress"], "ingress": [{ "from": from, "ports": tcp(5432) }] }),
                    ),
                    policy(
                        self.to,
                        json!({ "podSelector": self.pods(), "policyTypes": ["Egress"], "egress": [{ "to": to, "ports": tcp(5432) }] }),
                    ),
                ]
            }
            Server::Outside(port) => {
                let to = any_address();
                vec![policy(
                    self.to,
                    json!({ "podSelector": self.pods(), "policyTypes": ["Egress"], "egress": [{ "to": to, "ports": tcp(*port) }] }),
                )]
            }
        }
    }

    /// The Secret with all logins, by service and side, which goes with the job.
    #[must_use]
    pub fn secret(&self, logins: &[(String, Credentials)], job_uid: &str) -> Planned {
        let mut file = String::new();
        let mut fields = serde_json::Map::new();
        for (name, login) in logins {
            let Credentials { host, port, user, password, dbname, sslmode, .. } = login;
            // Writing to a String can't fail.
            let _ = writeln!(
                file,
                "[{name}]\nhost={host}\nport={port}\nuser={user}\npassword={password}\ndbname={dbname}\nsslmode={sslmode}"
            );
            if let Some(authority) = &login.ca {
                let _ = writeln!(file, "sslrootcert={FOLDER}/{name}.crt");
                fields.insert(format!("{name}.crt"), authority.as_str().into());
            }
        }
        fields.insert("services.conf".to_owned(), file.into());
        let name = self.job_name();
        let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid }]);
        let body = json!({
            "metadata": { "labels": self.labels(self.to), "ownerReferences": owner },
            "type": "Opaque",
            "stringData": fields,
        });
        Planned::new(Kind::Secret, &self.to.namespace(), &name, body)
    }

    /// The job.
    #[must_use]
    pub fn job(&self, role: &Identifier, nodes: &Nodes, context: &Context) -> Planned {
        let name = self.job_name();
        let login = Identifier::copy_login(&self.tenant.name_any()).map(|login| login.as_str().to_owned());
        let annotations = json!({ labels::COPY_LOGIN: login.unwrap_or_default() });
        let mut pod_labels = self.labels(self.to);
        pod_labels[DATABASE_CLIENT] = "true".into();
        let body = json!({
            "metadata": { "labels": self.labels(self.to), "annotations": annotations },
            "spec": {
                // Rather given up after some trials, and tried again another time with the reason told.
                "backoffLimit": 4,
                "activeDeadlineSeconds": 21_600,
                "template": {
                    "metadata": { "labels": pod_labels },
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 1,
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "nodeSelector": nodes.selector,
                        "tolerations": nodes.tolerations,
                        "securityContext": pod_security(postgres::USER),
                        "containers": [{
                            "name": COMPONENT,
                            "image": context.copy_image(self.to),
                            "imagePullPolicy": "IfNotPresent",
                            // Its last lines are kept with its end, for the status.
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "command": ["sh", "-euc", SCRIPT],
                            "env": [
                                { "name": "ROLE", "value": role.as_str() },
                                { "name": "SERVICES", "value": self.relocation.services.join(" ") },
                                { "name": "PGSERVICEFILE", "value": format!("{FOLDER}/services.conf") },
                                { "name": "PGCONNECT_TIMEOUT", "value": "10" },
                                // A session that waits for a lock must not outlive its pod, and act when nobody expects it.
                                { "name": "PGOPTIONS", "value": "-c client_connection_check_interval=2s" },
                            ],
                            "resources": {
                                "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "512Mi" },
                            },
                            "securityContext": container_security(),
                            "volumeMounts": [
                                { "name": "logins", "mountPath": FOLDER, "readOnly": true },
                                { "name": "tmp", "mountPath": "/tmp" },
                            ],
                        }],
                        "volumes": [
                            { "name": "logins", "secret": { "secretName": name, "defaultMode": 0o440 } },
                            { "name": "tmp", "emptyDir": {} },
                        ],
                    },
                },
            },
        });
        Planned::new(Kind::Job, &self.to.namespace(), &name, body)
    }
}
