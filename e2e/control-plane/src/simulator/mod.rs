//! Plays the scheduler, the nodes and their kubelets: it watches pods, runs what they are for in its own process, and reports to
//! the API server as a kubelet does. Jobs, Deployments and their pods are made and counted by Kubernetes' own controllers.
//!
//! A migration runs as in its pod, and so does the copy of a tenant that moves. A service serves its API on an address of loopback that is its pod's own. What no image of the
//! release has is not pulled, and what no node of the region takes is not scheduled, which is how tests hold a roll-out.

mod container;
mod copy;
mod homes;
mod mounts;
mod node;
mod pods;
mod process;
mod status;

use std::path::{Path, PathBuf};

use kube::Client;
use tokio::task::JoinHandle;

pub use node::REGION;

/// Who writes what the simulator writes.
const MANAGER: &str = "simulated-kubelet";

/// What all of it works with.
#[derive(Clone)]
struct Machine {
    client: Client,
    /// By which a container's own thread connects.
    kubeconfig: PathBuf,
    homes: homes::Homes,
}

impl Machine {
    /// The folder of the control plane.
    fn folder(&self) -> &Path {
        self.kubeconfig.parent().unwrap_or(&self.kubeconfig)
    }
}

/// A running simulator, which ends with all its containers when it is dropped.
pub(crate) struct Simulator {
    watch: JoinHandle<()>,
}

impl Simulator {
    /// Starts one as the cluster's administrator.
    pub(crate) async fn start(kubeconfig: &Path) -> anyhow::Result<Self> {
        let client = crate::control_plane::client(kubeconfig).await?;
        node::register(&client).await?;
        let machine = Machine { client, kubeconfig: kubeconfig.to_owned(), homes: homes::Homes::default() };
        Ok(Self { watch: tokio::spawn(pods::watch(machine)) })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
