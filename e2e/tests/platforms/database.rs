//! A platform on a Postgres that someone else runs: a pod of the test's own, whose login for the operator is no superuser.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::Cluster,
    operator::NAMESPACE,
    own_platform::{OwnPlatform, remove_namespace},
    platform::{Platform, postgres_image},
    tenant::{TestTenant, fresh_name},
    wait::until,
};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

use super::{crm_is_mended, crm_of, says};

/// As a managed Postgres is handed over: a login that may make roles and databases, and a database of its own.
const START: &str = r#"
set -eu
initdb --pgdata=/data/pg --username=postgres --auth-local=trust --auth-host=scram-sha-256 >/dev/null
printf "CREATE ROLE ops LOGIN CREATEROLE CREATEDB PASSWORD 'right';\n\nCREATE DATABASE ops OWNER ops;\n\n" |
  postgres --single -j -D /data/pg postgres >/dev/null
echo "host all all all scram-sha-256" >>/data/pg/pg_hba.conf
exec postgres -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_locks_per_transaction=512
"#;

/// A Postgres in a namespace of the test's own.
struct Elsewhere {
    cluster: Cluster,
    namespace: String,
}

impl Elsewhere {
    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let name = fresh_name("postgres");
        let client = cluster.client.clone();
        let namespace: Namespace = from_value(json!({ "metadata": {
            "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        } }))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        let pod: Pod = from_value(json!({
            "metadata": { "name": "postgres", "labels": { "app": "postgres" } },
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "postgres", "image": postgres_image(cluster).await?, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", START],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "readinessProbe": { "exec": { "command": ["pg_isready", "--host=127.0.0.1"] }, "periodSeconds": 1 },
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "tmp", "mountPath": "/tmp" }],
                }],
                "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }],
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
    fn fields(&self) -> Value {
        json!({
            "host": format!("postgres.{}.svc", self.namespace), "port": "5432", "user": "ops", "password": "right",
            "dbname": "ops", "sslmode": "disable",
        })
    }

    /// Writes the Secret of the name with the fields, where the operator may read it.
    async fn secret(&self, name: &str, fields: &Value) -> anyhow::Result<()> {
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

    async fn remove(self, secret: &str) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        secrets.delete(secret, &DeleteParams::default()).await?;
        remove_namespace(&self.cluster, &self.namespace).await
    }
}

fn external(secret: &str) -> Value {
    json!({ "database": { "provider": "External", "external": { "secretRef": { "namespace": NAMESPACE, "name": secret } } } })
}

#[tokio::test]
async fn an_external_database_serves_once_its_secret_is_right_and_until_then_it_is_told_what_is_wrong()
-> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let elsewhere = Elsewhere::start(&cluster).await?;
    let secret = fresh_name("secret");
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;

    let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
    ensure!(told.contains(&format!("{NAMESPACE}/{secret}")) && told.contains("does not exist"), "{told}");

    let mut fields = elsewhere.fields();
    fields.as_object_mut().context("fields")?.remove("password");
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "SecretInvalid", "key password is missing").await;

    fields["password"] = "wrong".into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    fields["password"] = "right".into();
    fields["host"] = format!("nowhere.{}.svc", elsewhere.namespace).into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "does not answer").await;

    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;
    tenant.add_contact("Lovelace").await?;
    tenant.erase().await?;
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn what_serves_is_mended_while_the_operator_can_not_log_in() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let elsewhere = Elsewhere::start(&cluster).await?;
    let secret = fresh_name("secret");
    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    let own = OwnPlatform::apply_new(&cluster, "ext", external(&secret)).await?;
    own.ready().await;
    let tenant = TestTenant::create(&own.platform, "ext", json!({})).await?;
    tenant.serves(200).await;

    let ran = crm_of(&own.platform).await?;
    let mut fields = elsewhere.fields();
    fields["password"] = "wrong".into();
    elsewhere.secret(&secret, &fields).await?;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;
    crm_is_mended(&own.platform, &ran).await?;
    tenant.serves(200).await;
    says(&own, "DatabaseReady", "DatabaseUnavailable", "password authentication failed").await;

    elsewhere.secret(&secret, &elsewhere.fields()).await?;
    own.ready().await;
    tenant.erase().await?;
    own.remove().await?;
    elsewhere.remove(&secret).await
}

#[tokio::test]
async fn a_secret_where_the_operator_may_not_read_is_refused_with_the_places_where_it_may() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let spec = json!({ "database": {
        "provider": "External", "external": { "secretRef": { "namespace": "kube-system", "name": "any" } },
    } });
    let own = OwnPlatform::apply_new(&cluster, "ext", spec).await?;
    let told = own.condition("DatabaseReady", "False", "SecretInvalid").await;
    ensure!(told.contains(NAMESPACE) && told.contains(&own.platform.namespace()), "{told}");
    own.remove().await
}
