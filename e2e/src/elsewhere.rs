//! A Postgres that someone else runs: a pod of the test's own, whose login for the operator is no superuser.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

use crate::{
    cluster::Cluster, operator::NAMESPACE, own_platform::remove_namespace, platform::postgres_image,
    tenant::fresh_name, wait::until,
};

/// As a managed Postgres is handed over: a login that may make roles and databases, and a database of its own.
const START: &str = r#"
set -eu
initdb --pgdata=/data/pg --username=postgres --auth-local=trust --auth-host=scram-sha-256 >/dev/null
printf "CREATE ROLE ops LOGIN CREATEROLE CREATEDB PASSWORD 'right';\n\nCREATE DATABASE ops OWNER ops;\n\n" |
  postgres --single -j -D /data/pg postgres >/dev/null
echo "host all all all scram-sha-256" >>/data/pg/pg_hba.conf
# It is started again for as long as the pod is there, since a full volume may end it.
while :; do
  postgres -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_locks_per_transaction=512 || sleep 1
done
"#;

/// A Postgres in a namespace of the test's own.
pub struct Elsewhere {
    cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
}

impl Elsewhere {
    /// Starts one with a volume as large as the node's.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::start_on(cluster, json!({})).await
    }

    /// Starts one with a small volume, which can be filled.
    pub async fn start_small(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::start_on(cluster, json!({ "medium": "Memory", "sizeLimit": "256Mi" })).await
    }

    async fn start_on(cluster: &Cluster, volume: Value) -> anyhow::Result<Self> {
        let name = fresh_name("postgres");
        let client = cluster.client.clone();
        let namespace: Namespace = from_value(json!({ "metadata": {
            "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        } }))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        let pod: Pod = from_value(json!({
            "metadata": { "name": "postgres", "labels": { "app": "postgres" } },
            "spec": {
                "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "postgres", "image": postgres_image(cluster).await?, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", START],
                    "resources": { "requests": { "cpu": "20m", "memory": "64Mi" } },
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "readinessProbe": { "exec": { "command": ["pg_isready", "--host=127.0.0.1"] }, "periodSeconds": 1 },
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "tmp", "mountPath": "/tmp" }],
                }],
                "volumes": [{ "name": "data", "emptyDir": volume }, { "name": "tmp", "emptyDir": {} }],
            },
        }))?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        // The service account that a pod needs is made a moment after the namespace.
        until("the pod is admitted", Duration::from_secs(20), || async {
            Ok(pods.create(&PostParams::default(), &pod).await?)
        })
        .await;
        let service: Service = from_value(json!({
            "metadata": { "name": "postgres" },
            "spec": { "selector": { "app": "postgres" }, "ports": [{ "port": 5432 }] },
        }))?;
        Api::<Service>::namespaced(client, &name).create(&PostParams::default(), &service).await?;
        until("the other Postgres is ready", Duration::from_mins(2), || async {
            let conditions = pods.get("postgres").await?.status.and_then(|status| status.conditions);
            let ready = conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
            ensure!(ready, "{conditions:?}");
            Ok(())
        })
        .await;
        Ok(Self { cluster: cluster.clone(), namespace: name })
    }

    /// The fields of a Secret that leads here.
    #[must_use]
    pub fn fields(&self) -> Value {
        json!({
            "host": format!("postgres.{}.svc", self.namespace), "port": "5432", "user": "ops", "password": "right",
            "dbname": "ops", "sslmode": "disable",
        })
    }

    /// Writes the Secret of the name with the fields, where the operator may read it.
    pub async fn secret(&self, name: &str, fields: &Value) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": fields });
        // Replaced as a whole, so that a field that is left out is gone.
        if secrets.get_opt(name).await?.is_some() {
            secrets.delete(name, &DeleteParams::default()).await?;
        }
        secrets.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// Runs a command in its pod.
    pub async fn run(&self, command: &str) -> anyhow::Result<String> {
        self.cluster.exec(&self.namespace, "postgres", &["sh", "-c", command]).await
    }

    /// Deletes it, and the Secret.
    pub async fn remove(self, secret: &str) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        secrets.delete(secret, &DeleteParams::default()).await?;
        remove_namespace(&self.cluster, &self.namespace).await
    }
}

/// The database of a platform or an instance that is here, by the name of the Secret.
#[must_use]
pub fn external(secret: &str) -> Value {
    json!({ "database": { "provider": "External", "external": { "secretRef": { "namespace": NAMESPACE, "name": secret } } } })
}
