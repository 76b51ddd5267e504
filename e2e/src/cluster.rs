//! The cluster that the tests work on.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Node, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{AttachParams, ListParams, PostParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, sync::OnceCell};

use crate::leftovers;

/// A connection as the cluster's administrator.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
}

/// Root of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What `EASYCODE_CLUSTER` is where the tests of the control plane run.
pub const WITHOUT_NODES: &str = "control-plane";

/// Whether the cluster has nodes, or is a control plane alone, whose pods are simulated.
#[must_use]
pub fn has_nodes() -> bool {
    std::env::var_os("EASYCODE_CLUSTER").is_none_or(|cluster| cluster != WITHOUT_NODES)
}

/// The kubeconfig: that of the cluster that `make cluster` has made. `KUBECONFIG` only by `EASYCODE_CLUSTER=existing`, since
/// most shells have one, and the tests delete definitions; or where there are no nodes.
#[must_use]
pub fn kubeconfig() -> PathBuf {
    if std::env::var_os("EASYCODE_CLUSTER").is_some_and(|cluster| cluster == "existing" || cluster == WITHOUT_NODES) {
        std::env::var_os("KUBECONFIG").map(PathBuf::from).unwrap_or_default()
    } else {
        checkout().join("target/cluster/kubeconfig")
    }
}

async fn configuration() -> anyhow::Result<Config> {
    let path = kubeconfig();
    let file = Kubeconfig::read_from(&path)
        .with_context(|| format!("no cluster at {}; run `make deploy` first", path.display()))?;
    Ok(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)
}

impl Cluster {
    /// Connects. The first time, what the tries of this test before have left goes.
    pub async fn connect() -> anyhow::Result<Self> {
        static CLEARED: OnceCell<()> = OnceCell::const_new();
        let cluster = Self::as_it_is().await?;
        CLEARED.get_or_init(|| leftovers::remove(&cluster)).await;
        Ok(cluster)
    }

    /// Connects, and leaves all as it is.
    pub(crate) async fn as_it_is() -> anyhow::Result<Self> {
        Ok(Self { client: Client::try_from(configuration().await?)? })
    }

    /// Connects as whom the token belongs to.
    pub async fn connect_with(token: &str) -> anyhow::Result<Self> {
        let mut config = configuration().await?;
        config.auth_info = serde_json::from_value::<AuthInfo>(json!({ "token": token }))?;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// A token of a service account, as the kubelet mounts it into a pod: for the API server, unless an audience is named.
    pub async fn token_of(&self, namespace: &str, account: &str, audience: Option<&str>) -> anyhow::Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let audiences = audience.into_iter().map(str::to_owned).collect();
        let request = TokenRequest { spec: TokenRequestSpec { audiences, ..Default::default() }, ..Default::default() };
        let issued = accounts.create_token_request(account, &PostParams::default(), &request).await?;
        Ok(issued.status.context("no token was issued")?.token)
    }

    /// A region that a node is in.
    pub async fn region(&self) -> anyhow::Result<String> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let regions = nodes.list(&ListParams::default()).await?;
        let region = regions.iter().find_map(|node| node.labels().get("topology.kubernetes.io/region").cloned());
        region.context("no node is labelled with its region")
    }

    /// Runs a command in a pod and returns what it printed.
    pub async fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut process = pods.exec(pod, command.to_vec(), &AttachParams::default().stderr(true)).await?;
        let (mut stdout, mut stderr) = (process.stdout().context("no stdout")?, process.stderr().context("no stderr")?);
        let status = process.take_status().context("no status")?;
        let (mut printed, mut complaint) = (String::new(), String::new());
        tokio::try_join!(stdout.read_to_string(&mut printed), stderr.read_to_string(&mut complaint))?;
        let status = status.await.context("the command ended without a status")?;
        ensure!(status.status.as_deref() == Some("Success"), "{command:?}: {complaint} {status:?}");
        Ok(printed)
    }

    /// Pods of a namespace with the label selector.
    pub async fn pods(&self, namespace: &str, selector: &str) -> anyhow::Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(pods.list(&ListParams::default().labels(selector)).await?.items)
    }
}
