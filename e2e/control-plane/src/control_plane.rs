//! etcd, API server and controllers on loopback, without a node. They need no root and no network of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use easycode_e2e::cluster::Cluster;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::TempDir;

use crate::{
    chart, environment,
    pki::{self, ACCOUNTS_KEY, ACCOUNTS_PUBLIC_KEY, ADMIN, AUTHORITY, CERTIFICATE, CONTROLLER_MANAGER, KEY, TOKENS},
    process::{Process, free_port},
    simulator::Simulator,
};

/// How long the components may take to answer.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How often they are asked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of a log that are shown.
const LAST_LINES: usize = 15;
/// Those that need nodes or routes: the simulator's pods are on no node, and have addresses of loopback, which no endpoint may have.
const CONTROLLERS: &str = "*,-node-lifecycle-controller,-node-ipam-controller,-endpoints-controller,-endpointslice-controller,\
                           -endpointslice-mirroring-controller,-service-lb-controller,-node-route-controller";

/// A control plane with the chart, whose operator runs as a process, and the simulator. It ends when it is dropped.
pub struct ControlPlane {
    /// A connection as its administrator.
    pub cluster: Cluster,
    // Ends before what its containers connect to.
    simulator: Option<Simulator>,
    processes: Vec<Process>,
    // Removed after all that works in it has ended.
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = environment::folder()?;
        let (etcd, etcd_peers, port) = (free_port()?, free_port()?, free_port()?);
        pki::write(folder.path(), port)?;
        let mut processes = vec![start_etcd(folder.path(), etcd, etcd_peers)?];
        processes.push(start_api_server(folder.path(), etcd, port)?);
        let cluster = Cluster { client: client(&folder.path().join(ADMIN)).await? };
        let mut own = Self { cluster, simulator: None, processes, folder };
        own.await_ready().await?;
        own.processes.push(start_controllers(own.folder.path())?);
        own.simulator = Some(Simulator::start(&own.kubeconfig()).await?);
        chart::install(&own.cluster).await?;
        Ok(own)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join(ADMIN)
    }

    /// The folder with its state and its logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let ready = self.cluster.client.request_text(get("/readyz")?).await;
            let Err(refusal) = ready else { return Ok(()) };
            for process in &mut self.processes {
                if let Some(status) = process.ended()? {
                    bail!("a component has ended with {status}:\n{}", last_words(self.folder.path()));
                }
            }
            if started.elapsed() > START_TIMEOUT {
                bail!("the API server does not start: {refusal}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// The end of each component's log.
fn last_words(folder: &Path) -> String {
    let last = |name: &str| {
        let log = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        format!("--- {name}\n{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
    };
    ["etcd", "kube-apiserver"].map(last).join("\n")
}

fn get(path: &str) -> anyhow::Result<axum::http::Request<Vec<u8>>> {
    Ok(axum::http::Request::get(path).body(Vec::new())?)
}

/// A client by a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?)
}

fn start_etcd(folder: &Path, port: u16, peers: u16) -> anyhow::Result<Process> {
    let (clients, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    Process::start(&environment::kubernetes("etcd")?, &folder.join("etcd.log"), |command| {
        command.arg("--data-dir").arg(folder.join("etcd")).args(["--unsafe-no-fsync", "--log-level", "warn"]);
        // One member elects itself, so nothing is gained by waiting for others.
        command.args(["--heartbeat-interval", "10", "--election-timeout", "100"]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.arg(format!("--initial-cluster=default={peers}"));
    })
}

fn start_api_server(folder: &Path, etcd: u16, port: u16) -> anyhow::Result<Process> {
    Process::start(&environment::kubernetes("kube-apiserver")?, &folder.join("kube-apiserver.log"), |command| {
        let mut file = |flag: &str, name: &str| {
            command.arg(flag).arg(folder.join(name));
        };
        file("--cert-dir", "");
        file("--tls-cert-file", CERTIFICATE);
        file("--tls-private-key-file", KEY);
        file("--token-auth-file", TOKENS);
        file("--service-account-key-file", ACCOUNTS_PUBLIC_KEY);
        file("--service-account-signing-key-file", ACCOUNTS_KEY);
        command.args(["--etcd-servers", &format!("http://127.0.0.1:{etcd}"), "--secure-port", &port.to_string()]);
        command.args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"]);
        command.args(["--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.96.0.0/16"]);
        command.args(["--service-account-issuer", "https://kubernetes.default.svc.cluster.local"]);
        command.args(["--authorization-mode", "RBAC", "--allow-privileged"]);
        command.args(["--max-requests-inflight", "800", "--max-mutating-requests-inflight", "400"]);
    })
}

fn start_controllers(folder: &Path) -> anyhow::Result<Process> {
    let program = environment::kubernetes("kube-controller-manager")?;
    Process::start(&program, &folder.join("kube-controller-manager.log"), |command| {
        let mut file = |flag: &str, name: &str| {
            command.arg(flag).arg(folder.join(name));
        };
        file("--kubeconfig", CONTROLLER_MANAGER);
        file("--service-account-private-key-file", ACCOUNTS_KEY);
        file("--root-ca-file", AUTHORITY);
        // It serves metrics and probes, which nobody asks for.
        command.args(["--secure-port", "0", "--leader-elect=false", "--use-service-account-credentials"]);
        command.args(["--controllers", CONTROLLERS, "--kube-api-qps", "300", "--kube-api-burst", "600"]);
    })
}
