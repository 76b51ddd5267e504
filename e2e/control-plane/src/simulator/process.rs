//! A container with the operator: its program, as a process with the rights of the pod's service account, so that it can be killed.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::Context;
use easycode_e2e::signals::PROCESS;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Container as Specified, Pod, ServiceAccount},
};
use kube::{Api, ResourceExt, api::PostParams};

use super::{Machine, container, status::State};
use crate::{environment, pki, process::Process};

/// The program of the operator, and name of its image.
pub(super) const OPERATOR: &str = "easycode-operator";
/// Port of its probes.
const PROBES: u16 = 9090;
/// Port of its audit trail.
const AUDIT: u16 = 9091;
/// For how long its token counts: longer than any run of the tests.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// How often it is asked whether it is ready, or has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long it may take to stop in order.
const GRACE: Duration = Duration::from_secs(30);

/// A running process, which is asked to stop when this is dropped.
pub(super) struct ProcessContainer {
    ip: String,
    process: Option<Process>,
}

impl ProcessContainer {
    /// Starts the operator of a pod.
    pub(super) async fn start(machine: &Machine, pod: &Pod, specified: &Specified) -> anyhow::Result<Self> {
        let ip = container::free_address(PROBES).await?;
        let kubeconfig = kubeconfig(machine, pod).await?;
        let log = machine.folder().join(format!("{OPERATOR}.log"));
        let process = Process::start(&environment::workspace(OPERATOR)?, &log, |command| {
            for variable in specified.env.iter().flatten() {
                let value = match variable.name.as_str() {
                    "POD_NAME" => Some(pod.name_any()),
                    "POD_NAMESPACE" => pod.namespace(),
                    _ => variable.value.clone(),
                };
                command.envs(value.map(|value| (variable.name.clone(), value)));
            }
            command.env("KUBECONFIG", kubeconfig);
            command.env("EASYCODE_LISTEN", format!("{ip}:{PROBES}"));
            command.env("EASYCODE_AUDIT_LISTEN", format!("{ip}:{AUDIT}"));
        })?;
        Ok(Self { ip, process: Some(process) })
    }

    /// Waits until its readiness probe succeeds.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let url = format!("http://{}:{PROBES}/readyz", self.ip);
        while reqwest::get(&url).await.and_then(reqwest::Response::error_for_status).is_err() {
            self.process()?.expect_running()?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// What its kubelet reports after so many restarts.
    pub(super) fn state(&mut self, restarts: u32) -> anyhow::Result<State> {
        let id = Some(format!("{PROCESS}{}", self.process()?.id()));
        Ok(State::Running { ip: self.ip.clone(), id, restarts })
    }

    /// Waits until it has ended by itself, or was killed.
    pub(super) async fn ended(&mut self) -> anyhow::Result<()> {
        while self.process()?.ended()?.is_none() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the process was taken away")
    }
}

impl Drop for ProcessContainer {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // As a kubelet does: asked first, and killed if it stays.
        thread::spawn(move || {
            let _ = process.signal("TERM");
            let rounds = GRACE.as_millis() / POLL_INTERVAL.as_millis();
            for _ in 0..rounds {
                if !matches!(process.ended(), Ok(None)) {
                    break;
                }
                thread::sleep(POLL_INTERVAL);
            }
        });
    }
}

/// Writes a kubeconfig with a token of the pod's service account.
async fn kubeconfig(machine: &Machine, pod: &Pod) -> anyhow::Result<PathBuf> {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).context("no service account")?;
    let api: Api<ServiceAccount> = Api::namespaced(machine.client.clone(), &pod.namespace().unwrap_or_default());
    let lifetime = i64::try_from(TOKEN_LIFETIME.as_secs())?;
    let spec = TokenRequestSpec { expiration_seconds: Some(lifetime), ..Default::default() };
    let request = TokenRequest { spec, ..Default::default() };
    let issued = api.create_token_request(&account, &PostParams::default(), &request).await?;
    let token = issued.status.context("no token was issued")?.token;
    pki::write_kubeconfig(machine.folder(), &format!("{}.kubeconfig", pod.name_any()), &token)
}
