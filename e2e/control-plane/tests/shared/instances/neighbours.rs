//! Instances side by side: none is touched by what concerns another.

use anyhow::ensure;
use easycode_e2e::{
    objects::{api, goes},
    own_instance::OwnInstance,
    platform::Answer,
    tokens,
};
use easycode_operator::kubernetes::object::Kind;
use reqwest::Method;
use serde_json::{Value, json};

use super::cluster;

#[tokio::test]
async fn what_is_asked_of_one_instance_reaches_no_other() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (one, other) = tokio::try_join!(
        OwnInstance::apply_new(&cluster, "asked", json!({})),
        OwnInstance::apply_new(&cluster, "left", json!({})),
    )?;
    tokio::join!(one.ready(), other.ready());
    let before = versions(&other).await?;
    one.change(json!({ "services": [{ "name": "crm", "replicas": 2 }] })).await?;
    one.ready().await;
    one.annotate("easycode.io/apply-pending", json!("TICKET-1")).await?;
    one.tenant.change(json!({ "entitlements": [] })).await?;
    goes(&one.platform, Kind::Deployment, "crm").await;
    one.ready().await;
    ensure!(versions(&other).await? == before, "the other was touched");
    let token = tokens::token(&other.tenant.name, &["crm-user"])?;
    let request = other.platform.request("crm", Method::GET, "/contacts").await?.bearer_auth(token);
    ensure!(Answer::of(request).await?.status == 200, "the other is not served");
    tokio::try_join!(one.remove(), other.remove())?;
    Ok(())
}

/// The generations of what runs.
async fn versions(own: &OwnInstance) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for name in ["crm", "tenant-service", "user-service"] {
        let live = api(&own.platform, Kind::Deployment).get(name).await?;
        all.push(json!([name, live.metadata.uid, live.metadata.generation]));
    }
    Ok(all)
}
