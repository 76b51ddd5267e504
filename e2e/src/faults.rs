//! Faults of the cluster's components. Only the local cluster's can be stopped; elsewhere such tests say that they are left out.

use std::path::Path;

use anyhow::ensure;
use tokio::process::Command;

use crate::cluster::checkout;

/// Whether the cluster is the local one, of which it is known that it enforces network policies.
#[must_use]
pub fn is_local_cluster() -> bool {
    let state = std::env::var("EASYCODE_STATE").unwrap_or_else(|_| "/var/lib/easycode-local".to_owned());
    let chosen = std::env::var("EASYCODE_CLUSTER").unwrap_or_default();
    Path::new(&state).is_dir() && matches!(chosen.as_str(), "" | "local")
}

/// Whether components can be stopped; says so if not.
#[must_use]
pub fn can_stop_components() -> bool {
    let local = is_local_cluster();
    if !local {
        println!("left out: the components of this cluster can't be stopped, only those of the local cluster");
    }
    local
}

/// Kills, stops, starts or restarts a component such as `kube-apiserver`.
pub async fn component(action: &str, name: &str) -> anyhow::Result<()> {
    let status = Command::new(checkout().join("e2e/cluster/component.sh")).args([action, name]).status().await?;
    ensure!(status.success(), "component.sh {action} {name}: {status}");
    Ok(())
}
