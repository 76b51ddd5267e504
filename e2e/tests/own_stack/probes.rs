//! The operator's own probes of an instance.

use easycode_e2e::{cluster::Cluster, own_instance::OwnInstance, probes::notices};
use serde_json::json;

#[tokio::test]
async fn a_probe_of_an_instance_notices_what_gets_through_there() -> anyhow::Result<()> {
    let own = OwnInstance::apply_new(&Cluster::connect().await?, "probed", json!({})).await?;
    own.ready().await;
    notices(&own.tenant).await?;
    own.remove().await
}
