//! A Postgres that someone else runs: a pod of the test's own, whose login for the operator is no superuser.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{cluster::Cluster, operator::DATABASE_SECRETS, own_pod::OwnPod, platform::postgres_image};

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
    pod: OwnPod,
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
        let pod = OwnPod::namespace(cluster, "postgres").await?;
        let container = json!({
            "image": postgres_image(cluster).await?, "command": ["sh", "-c", START],
            "readinessProbe": { "exec": { "command": ["pg_isready", "--host=127.0.0.1"] }, "periodSeconds": 1 },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "tmp", "mountPath": "/tmp" }],
        });
        let volumes = json!([{ "name": "data", "emptyDir": volume }, { "name": "tmp", "emptyDir": {} }]);
        pod.run(999, container, &volumes, 5432).await?;
        Ok(Self { pod })
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.pod.namespace
    }

    /// The fields of a Secret that leads here.
    #[must_use]
    pub fn fields(&self) -> Value {
        json!({
            "host": self.pod.host(), "port": "5432", "user": "ops", "password": "right",
            "dbname": "ops", "sslmode": "disable",
        })
    }

    /// Writes the Secret of the name with the fields, where the operator may read it.
    pub async fn secret(&self, name: &str, fields: &Value) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.pod.cluster.client.clone(), DATABASE_SECRETS);
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
        self.pod.exec(command).await
    }

    /// Deletes it, and the Secret.
    pub async fn remove(self, secret: &str) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.pod.cluster.client.clone(), DATABASE_SECRETS);
        secrets.delete(secret, &DeleteParams::default()).await?;
        self.pod.remove().await
    }
}

/// The database of a platform or an instance that is here, by the name of the Secret.
#[must_use]
pub fn external(secret: &str) -> Value {
    json!({ "database": { "provider": "External", "external": { "secretRef": { "namespace": DATABASE_SECRETS, "name": secret } } } })
}
