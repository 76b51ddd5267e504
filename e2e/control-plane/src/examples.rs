//! The examples, as far as a control plane without nodes can run them: the release, its channel, the platform and its tenants.

use std::{fs, path::Path};

use anyhow::Context;
use easycode_e2e::{
    cluster::{Cluster, checkout},
    elsewhere::external,
    platform::{EXAMPLE, Platform},
    postgres,
    tenant::PATIENCE,
};
use easycode_operator::cli::token;
use easycode_test_postgres::PostgresServer;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::Value;

/// Name of the Secret that leads to the platform's Postgres.
const SECRET: &str = "postgres-eu1";

/// Applies them and waits until the platform is ready. Its Postgres ends when what is returned is dropped.
pub(crate) async fn apply(cluster: &Cluster, key: &Path) -> anyhow::Result<PostgresServer> {
    token::keygen(key)?;
    let server = PostgresServer::start().await?;
    postgres::write_secret(cluster, SECRET, &server, &postgres::fields(&server)).await?;
    for object in read("release")? {
        write(cluster, &object).await?;
    }
    for mut platform in read("platform")? {
        platform.data["spec"]["database"] = external(SECRET)["database"].clone();
        platform.data["spec"]["identity"]["jwks"] = token::jwks(key)?.into();
        write(cluster, &platform).await?;
    }
    for tenant in read("tenants")? {
        write(cluster, &tenant).await?;
    }
    Platform::of(cluster.clone(), EXAMPLE).ready(PATIENCE).await;
    Ok(server)
}

fn read(name: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let path = checkout().join(format!("examples/{name}.yaml"));
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    objects.into_iter().map(|object| Ok(serde_json::from_value(object)?)).collect()
}

async fn write(cluster: &Cluster, object: &DynamicObject) -> anyhow::Result<()> {
    let kind = GroupVersionKind::try_from(object.types.as_ref().context("an object without kind")?)?;
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &ApiResource::from_gvk(&kind));
    let params = PatchParams::apply("demo").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await.with_context(|| object.name_any())?;
    Ok(())
}
