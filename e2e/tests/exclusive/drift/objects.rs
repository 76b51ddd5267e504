//! Objects: made again, or changed back.

use easycode_e2e::objects::changed_back;
use easycode_operator::kubernetes::object::Kind;
use serde_json::json;

#[tokio::test]
async fn a_volume_that_would_go_with_its_set_is_kept_again() -> anyhow::Result<()> {
    let policy = json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete" } } });
    changed_back(Kind::StatefulSet, "postgres", policy).await
}
