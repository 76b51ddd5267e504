//! An instance whose Postgres CloudNativePG runs: it waits for that operator, which the test brings into the cluster, is served by
//! it, and comes through the loss of its primary and new credentials. `make e2e-cloudnative-pg`; not among the other tests, as
//! building CloudNativePG takes minutes.

use std::{process::Command, time::Duration};

use anyhow::{Context, ensure};
use easycode_e2e::{
    cluster::{Cluster, checkout},
    operator::Operator,
    own_instance::OwnInstance,
    platform::Platform,
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Made by `e2e/cloudnative-pg/up.sh`.
const IMAGE: &str = "localhost/easycode/postgres-cloudnative-pg:15";
/// What goes with all of its databases.
const DEFINITION: &str = "clusters.postgresql.cnpg.io";
/// Longest time until CloudNativePG has done something.
const PATIENCE: Duration = Duration::from_mins(5);

fn script(name: &str) -> anyhow::Result<()> {
    let path = checkout().join("e2e/cloudnative-pg").join(name);
    let status = Command::new(&path).status().with_context(|| format!("running {}", path.display()))?;
    ensure!(status.success(), "{} ended with {status}", path.display());
    Ok(())
}

async fn served(own: &OwnInstance) -> anyhow::Result<()> {
    let answer = own.tenant.read("/contacts").await?;
    ensure!(answer.status == 200 && answer.body["items"][0]["familyName"] == "Lovelace", "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn an_instance_waits_for_cloudnative_pg_and_lives_on_its_postgres() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let resources = json!({ "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "memory": "512Mi" } });
    let settings = json!({ "instances": 1, "size": "1Gi", "imageName": IMAGE, "resources": resources });
    let database = json!({ "provider": "CloudNativePG", "cloudNativePG": settings });
    let own = OwnInstance::apply_new(&cluster, "cnpg", json!({ "database": database })).await?;
    own.says("DatabaseReady", "DefinitionMissing", "install CloudNativePG").await;

    script("up.sh")?;
    own.platform.condition("DatabaseReady", "True", "", PATIENCE).await;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    has_no_superuser(&cluster, &own).await?;
    is_protected(&cluster, &own).await?;

    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &own.namespace());
    pods.delete("postgres-1", &DeleteParams::default().grace_period(0)).await?;
    until("it is served again", PATIENCE, || served(&own)).await;
    own.ready().await;

    let before = own.status().await?.credentials_rotated_at;
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &own.namespace());
    let operators = secrets.get("postgres-login").await?.data;
    own.annotate("easycode.io/rotate-credentials", json!("now")).await?;
    until("the credentials are new", PATIENCE, || async {
        served(&own).await?;
        let now = own.status().await?.credentials_rotated_at;
        ensure!(now.is_some() && now != before, "{now:?}");
        Ok(())
    })
    .await;
    ensure!(secrets.get("postgres-login").await?.data != operators, "the operator's own password is as it was");
    // CloudNativePG sets it, too: a new connection of the operator shows that both mean the same.
    let operator = Operator::of(&cluster);
    operator.aim().await?;
    operator.kill().await?;
    operator.settled().await;
    own.condition("DatabaseReady", "True", "").await;
    own.ready().await;
    served(&own).await?;
    own.remove().await?;
    script("down.sh")
}

fn definitions(cluster: &Cluster) -> Api<CustomResourceDefinition> {
    Api::all(cluster.client.clone())
}

/// Nobody deletes by a slip of the hand what has the data.
async fn is_protected(cluster: &Cluster, own: &OwnInstance) -> anyhow::Result<()> {
    let (client, namespace) = (cluster.client.clone(), own.namespace());
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &Kind::Cluster.resource());
    refused(&clusters, "postgres").await?;
    refused(&definitions(cluster), DEFINITION).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, &namespace);
    let claim = until("its claim is labelled", PATIENCE, || async {
        let claims = claims.list(&ListParams::default()).await?.items;
        let labelled = claims.iter().find(|one| one.labels().contains_key("easycode.io/instance"));
        Ok(labelled.context("none is")?.name_any())
    })
    .await;
    refused(&claims, &claim).await
}

/// Whether a deletion is refused with the way out.
async fn refused<K: Clone + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, name: &str) -> anyhow::Result<()> {
    let refusal = api.delete(name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await;
    let way_out = format!("easycode.io/confirm-delete={name}");
    ensure!(refusal.is_err_and(|error| error.to_string().contains(&way_out)), "{name} is not protected");
    Ok(())
}

/// The operator's login makes roles and databases, and nobody outside the pod is a superuser.
async fn has_no_superuser(cluster: &Cluster, own: &OwnInstance) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &own.namespace());
    ensure!(secrets.get_opt("postgres-superuser").await?.is_none(), "a superuser may log in");
    Ok(())
}
