//! A password of a service that someone else changes.

use std::time::{Duration, Instant};

use easycode_e2e::{platform::Platform, wait::until};
use easycode_operator::stack::plan::secrets::service_secret;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Longest time until a change in Postgres is undone: two looks, and some for the work.
const SURVEYED: Duration = Duration::from_secs(75);

#[tokio::test]
async fn a_changed_password_is_one_that_postgres_accepts_again() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let name = service_secret("crm");
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let patch = Patch::Merge(json!({ "stringData": { "password": "changed-by-hand" } }));
    secrets.patch(&name, &PatchParams::default(), &patch).await?;
    let started = Instant::now();
    until("the login of crm is as its Secret says", SURVEYED, || async {
        let login = platform.login_of("crm").await?;
        Ok(PgConnection::connect_with(&login).await?.close().await?)
    })
    .await;
    println!("accepted after {:?}", started.elapsed());
    platform.ready(Duration::from_mins(2)).await;
    Ok(())
}
