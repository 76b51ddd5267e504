//! The audit trail of an instance that is gone.

use std::process::Command;

use anyhow::ensure;
use easycode_e2e::{
    cluster::{checkout, kubeconfig},
    own_instance::OwnInstance,
    own_platform::remove_namespace,
    platform::Platform,
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_trail_of_an_instance_that_is_gone_is_read_as_long_as_its_namespace_is_there() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let own = OwnInstance::apply_new(&cluster, "trail", json!({})).await?;
    own.ready().await;
    own.tenant.erase().await?;
    own.delete().await?;
    own.gone().await;
    let program = checkout().join("target/bin/easycode");
    let arguments = ["audit", "--tenant", &own.tenant.name, "-o", "json"];
    // Other tests' homes are broken on purpose: what is read is printed all the same.
    let output = Command::new(program).args(arguments).env("KUBECONFIG", kubeconfig()).output()?;
    let records: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let acts: Vec<_> = records.iter().filter_map(|one| one["act"].as_str()).collect();
    ensure!(acts.first() == Some(&"SpecCreated") && acts.last() == Some(&"Forget"), "{acts:?}, and {output:?}");
    ensure!(records.iter().all(|one| one["home"] == own.platform.home.to_string()), "{records:?}");
    remove_namespace(&cluster, &own.namespace()).await
}
