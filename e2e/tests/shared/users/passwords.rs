//! Guessing passwords costs a pod no more memory than it has.

use anyhow::ensure;
use easycode_e2e::{
    people::{ADMINISTRATOR, Person, try_sign_in},
    platform::Platform,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use serde_json::json;

use super::company;

#[tokio::test]
async fn a_hundred_guesses_at_once_leave_user_service_its_memory() -> anyhow::Result<()> {
    let (tenant, _) = company("guessed", json!({ "limits": { "requestsPerSecond": 10_000 } })).await?;
    let before = restarts(&tenant.platform).await?;
    let guess = async |number: u32| {
        try_sign_in(&tenant.platform, &tenant.name, &format!("nobody-{number}@staff.example"), "wrong").await
    };
    let guesses = try_join_all((0..100).map(guess)).await?;
    ensure!(guesses.iter().any(|answer| answer.status == 429), "100 guesses at once are not too many");
    Person::sign_in(&tenant.platform, &tenant.name, ADMINISTRATOR).await?;
    ensure!(restarts(&tenant.platform).await? == before, "user-service had no memory left");
    tenant.erase().await
}

/// How often user-service was started again.
async fn restarts(platform: &Platform) -> anyhow::Result<i32> {
    let pods: Api<Pod> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let pods = pods.list(&ListParams::default().labels("app.kubernetes.io/name=user-service")).await?;
    let containers = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(containers.map(|container| container.restart_count).sum())
}
