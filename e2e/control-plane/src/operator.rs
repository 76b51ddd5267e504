//! The operator as a child process, with the rights that the chart gives it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use easycode_e2e::{
    operator::{Metrics, NAMESPACE},
    wait::as_soon_as,
};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};

use crate::{
    control_plane::ControlPlane,
    environment,
    process::{Process, free_port},
};

/// The operator's service account in the chart.
const ACCOUNT: &str = "easycode-operator";
/// For how long its token counts: longer than any run of the tests.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// One replica of the operator. It is killed when this is dropped.
pub struct OperatorProcess {
    name: String,
    kubeconfig: PathBuf,
    log: PathBuf,
    metrics: u16,
    process: Process,
    environment: Vec<(String, String)>,
}

impl OperatorProcess {
    /// Starts a replica of the name and waits until its probes answer.
    pub async fn start(control_plane: &ControlPlane, name: &str) -> anyhow::Result<Self> {
        Self::start_with(control_plane, name, &[]).await
    }

    /// As [`OperatorProcess::start`], with options of the operator by the names of their environment variables.
    pub async fn start_with(
        control_plane: &ControlPlane,
        name: &str,
        options: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let accounts: Api<ServiceAccount> = Api::namespaced(control_plane.cluster.client.clone(), NAMESPACE);
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_LIFETIME.as_secs().cast_signed()), ..Default::default() };
        let request = TokenRequest { spec, ..Default::default() };
        let issued = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
        let token = issued.status.context("no token was issued")?.token;
        let kubeconfig = control_plane.write_kubeconfig(&format!("{name}.kubeconfig"), &token)?;
        let log = control_plane.folder().join(format!("{name}.log"));
        let environment: Vec<_> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (process, metrics) = spawn(name, &kubeconfig, &log, &environment)?;
        let own = Self { name: name.to_owned(), kubeconfig, log, metrics, process, environment };
        own.answers().await;
        Ok(own)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Sends it a signal such as `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// Starts it again after it has ended.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(!self.runs()?, "{} still runs", self.name);
        (self.process, self.metrics) = spawn(&self.name, &self.kubeconfig, &self.log, &self.environment)?;
        self.answers().await;
        Ok(())
    }

    /// What it answers on its port of probes and metrics.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.metrics);
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }

    /// Its metrics.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        Ok(Metrics(self.get("/metrics").await?))
    }

    /// The file with its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    async fn answers(&self) {
        as_soon_as(&format!("{} answers", self.name), START_TIMEOUT, || self.get("/readyz")).await;
    }
}

fn spawn(
    name: &str,
    kubeconfig: &Path,
    log: &Path,
    environment: &[(String, String)],
) -> anyhow::Result<(Process, u16)> {
    let (metrics, audit) = (free_port()?, free_port()?);
    let process = Process::start(&environment::workspace("easycode-operator")?, log, |command| {
        command.env("KUBECONFIG", kubeconfig).env("POD_NAME", name).env("POD_NAMESPACE", NAMESPACE);
        command.env("EASYCODE_LISTEN", format!("127.0.0.1:{metrics}"));
        command.env("EASYCODE_AUDIT_LISTEN", format!("127.0.0.1:{audit}"));
        command.env("RUST_LOG", "info,kube=warn").envs(environment.iter().cloned());
    })?;
    Ok((process, metrics))
}
