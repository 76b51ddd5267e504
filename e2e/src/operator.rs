//! The operator's own replicas: who of them leads, what they count, and how they die.

use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Preconditions},
};

use crate::{
    cluster::{Cluster, has_nodes},
    signals,
    wait::until,
};

/// Its namespace.
pub const NAMESPACE: &str = "easycode-system";
/// Namespace of the Secrets with the logins of external databases.
pub const DATABASE_SECRETS: &str = "easycode-databases";

/// Its service account, as the API server names it.
pub const ACCOUNT: &str = "system:serviceaccount:easycode-system:easycode-operator";
/// Deployment, Lease and service account are of one name.
const NAME: &str = "easycode-operator";
const METRICS_PORT: u16 = 9090;

/// The operator of a cluster.
#[derive(Clone)]
pub struct Operator {
    cluster: Cluster,
}

impl Operator {
    /// Of the cluster.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Its pods, but for those on their way out.
    pub async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pods = self.cluster.pods(NAMESPACE, &format!("app.kubernetes.io/name={NAME}")).await?;
        Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// The Lease by which one of them leads.
    #[must_use]
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.cluster.client.clone(), NAMESPACE)
    }

    /// Who holds the Lease: the name of a pod and, behind an underscore, of one life of it.
    pub async fn holder(&self) -> anyhow::Result<Option<String>> {
        let lease = self.leases().get_opt(NAME).await?;
        Ok(lease.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty()))
    }

    /// Waits until another than `before` leads, and returns who.
    pub async fn another_leads(&self, before: Option<&str>, longest: Duration) -> String {
        until("a replica of the operator leads", longest, || async {
            let holder = self.holder().await?.context("nobody holds the lease")?;
            ensure!(before != Some(holder.as_str()), "{holder} still holds the lease");
            Ok(holder)
        })
        .await
    }

    /// The pod of a holder of the Lease.
    pub async fn pod_of(&self, holder: &str) -> anyhow::Result<Pod> {
        let name = holder.rsplit_once('_').context("a holder without an underscore")?.0;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        Ok(pods.get(name).await?)
    }

    /// Makes ready to [`Operator::kill`] without delay.
    pub async fn aim(&self) -> anyhow::Result<()> {
        for pod in self.pods().await? {
            signals::prepare(&self.cluster, &pod).await?;
        }
        Ok(())
    }

    /// Kills the replica that leads, as a power cut would, and frees the Lease, so that nobody need wait until it runs out. If another
    /// test does so just now, that was it.
    pub async fn kill(&self) -> anyhow::Result<()> {
        // A container that starts once more before its pod is gone may lead for a moment.
        let (holder, leader) = until("a replica of the operator leads", Duration::from_mins(1), || async {
            let holder = self.holder().await?.context("nobody holds the lease")?;
            let pod = self.pod_of(&holder).await?;
            Ok((holder, pod))
        })
        .await;
        let killed = signals::send(&self.cluster, &leader, "KILL").await;
        // The pod too: it would start again, but later each time.
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let by_another = match pods.delete(&leader.name_any(), &DeleteParams::default().grace_period(0)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            removed => removed.map(|_| false)?,
        };
        self.free_from(&holder).await?;
        if by_another {
            println!("{} was killed by another test", leader.name_any());
        } else {
            killed?;
            println!("killed {}", leader.name_any());
        }
        Ok(())
    }

    /// Takes the Lease from a holder who is dead, unless someone else has it already.
    async fn free_from(&self, holder: &str) -> anyhow::Result<()> {
        let Some(lease) = self.leases().get_opt(NAME).await? else { return Ok(()) };
        if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(holder) {
            return Ok(());
        }
        let unchanged = Preconditions { resource_version: lease.resource_version(), uid: lease.uid() };
        match self.leases().delete(NAME, &DeleteParams::default().preconditions(unchanged)).await {
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Waits until all replicas are ready and one leads.
    pub async fn settled(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        until("all replicas of the operator are ready", Duration::from_mins(2), || async {
            let status = deployments.get(NAME).await?.status.context("no status yet")?;
            let (all, ready) = (status.replicas.unwrap_or_default(), status.ready_replicas.unwrap_or_default());
            ensure!(all > 0 && all == ready && status.updated_replicas == Some(all), "{ready} of {all} are ready");
            let holder = self.holder().await?.context("nobody leads")?;
            ensure!(self.pod_of(&holder).await?.metadata.deletion_timestamp.is_none(), "{holder} is on its way out");
            Ok(())
        })
        .await;
    }

    /// What a replica answers on its port of probes and metrics, by way of the API server.
    pub async fn get(&self, pod: &Pod, path: &str) -> anyhow::Result<String> {
        if !has_nodes() {
            let address =
                pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without address")?;
            let answer = reqwest::get(format!("http://{address}:{METRICS_PORT}{path}")).await?;
            return Ok(answer.error_for_status()?.text().await?);
        }
        let url = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}:{METRICS_PORT}/proxy{path}", pod.name_any());
        Ok(self.cluster.client.request_text(http::Request::get(url).body(Vec::new())?).await?)
    }

    /// The metrics of a replica.
    pub async fn metrics(&self, pod: &Pod) -> anyhow::Result<Metrics> {
        Ok(Metrics(self.get(pod, "/metrics").await?))
    }
}

/// Metrics in the text format.
#[derive(Clone, Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// Sum of the samples of a metric whose labels, as text, are wanted.
    #[must_use]
    pub fn total(&self, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
        let of = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
            (metric == name && wanted(labels)).then(|| value.parse::<f64>().ok())?
        };
        self.0.lines().filter_map(of).sum()
    }
}
