//! The end of a platform: not while tenants are on it, and never of its data.


use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    platform::Platform,
    tenant::TestTenant,
};
use serde_json::json;

#[tokio::test]
async fn a_platform_that_is_made_again_takes_its_data_over() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    Platform::example().await?;
    let own = OwnPlatform::apply_new(&cluster, "again", json!({})).await?;
    own.ready().await;
    let retained = json!({ "deletionPolicy": "Retain" });
    let tenant = TestTenant::create(&own.platform, "again", retained.clone()).await?;
    tenant.add_contact("Lovelace").await?;
    let uid = tenant.get().await?.metadata.uid.unwrap_or_default();
    tenant.delete().await?;
    tenant.gone().await;
    own.delete().await?;
    own.gone().await;

    own.apply(json!({})).await?;
    own.ready().await;
    tenant.apply(retained).await?;
    tenant.condition("DatabaseReady", "False", "RetainedData").await;
    tenant.annotate("easycode.io/undelete", &uid).await?;
    tenant.ready().await;
    let answer = tenant.serves(200).await;
    ensure!(answer.body["items"][0]["familyName"] == "Lovelace", "{answer:?}");
    tenant.erase().await?;
    own.remove().await
}
