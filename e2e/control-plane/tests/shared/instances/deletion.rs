//! The end of an instance: protected, not while its tenant is there, and never of its data.


use anyhow::ensure;
use easycode_e2e::own_instance::OwnInstance;
use serde_json::json;

use super::cluster;

#[tokio::test]
async fn an_instance_that_never_came_up_can_be_deleted_with_its_tenant() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let nowhere = json!({ "location": { "region": "e2e-nowhere" } });
    let own = OwnInstance::apply_new(&cluster, "never", nowhere).await?;
    own.condition("Ready", "False", "NoNodeInRegion").await;
    own.delete().await?;
    // Its tenant is not taken away with it, whichever of the two goes first.
    ensure!(own.tenant.get().await?.metadata.deletion_timestamp.is_none(), "its tenant goes, too");
    own.tenant.delete().await?;
    own.gone().await;
    own.tenant.gone().await;
    easycode_e2e::own_platform::remove_namespace(&cluster, &own.namespace()).await
}
