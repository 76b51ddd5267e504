//! Follows all pods, and does with each what a kubelet would.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use easycode_contract::{
    probe::{self, ProbeReport},
    runtime::{MIGRATE_COMMAND, USER_SERVICE},
};
use easycode_kit::{Config, Service};
use futures::{StreamExt, future::pending};
use k8s_openapi::api::core::v1::{Container as Specified, Pod};
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event, watcher},
};
use tokio::task::JoinHandle;

use super::{
    Machine,
    container::{self, Container},
    copy,
    mounts::Mounts,
    node,
    process::{OPERATOR, ProcessContainer},
    status::{self, State},
};

/// How often what a pod is to mount and is missing is looked for.
const MOUNT_INTERVAL: Duration = Duration::from_millis(100);
/// Time until what failed without a fault of the pod's own is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The pods that something is done with, by uid: in which namespace, and the task.
type Playing = HashMap<String, (String, Played)>;

/// A task that ends when it is dropped.
struct Played(JoinHandle<()>);

impl Drop for Played {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows all pods, for ever.
pub(super) async fn watch(machine: Machine) {
    let events = watcher(Api::<Pod>::all(machine.client.clone()), watcher::Config::default());
    let mut events = std::pin::pin!(events);
    let mut playing = Playing::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let (uid, namespace) = (pod.uid().unwrap_or_default(), pod.namespace().unwrap_or_default());
                if pod.metadata.deletion_timestamp.is_some() {
                    end(&mut playing, &machine, &uid);
                } else if !has_ended(&pod) {
                    let machine = machine.clone();
                    playing.entry(uid).or_insert_with(|| {
                        (namespace, Played(tokio::spawn(async move { play(&machine, &pod).await })))
                    });
                }
            }
            Ok(Event::Delete(pod)) => end(&mut playing, &machine, &pod.uid().unwrap_or_default()),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => {
                tracing::warn!(%error, "the watch of pods was interrupted, retrying");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

fn end(playing: &mut Playing, machine: &Machine, uid: &str) {
    let Some((namespace, _)) = playing.remove(uid) else { return };
    if !playing.values().any(|(other, _)| *other == namespace) {
        machine.homes.forget(&namespace);
    }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A pod that is played.
struct Player<'a> {
    machine: &'a Machine,
    pod: &'a Pod,
}

/// Plays a pod until it ends, or for ever.
async fn play(machine: &Machine, pod: &Pod) {
    let player = Player { machine, pod };
    while let Err(error) = player.attempt().await {
        tracing::warn!(error = format!("{error:#}"), pod = pod.name_any(), "a pod does not start, retrying");
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

impl Player<'_> {
    async fn report(&self, state: State) -> anyhow::Result<()> {
        status::write(&self.machine.client, self.pod, &state).await
    }

    async fn attempt(&self) -> anyhow::Result<()> {
        if let Some(refusal) = node::refusal(self.pod) {
            self.report(State::Unschedulable(refusal)).await?;
            return pending().await;
        }
        let spec = self.pod.spec.as_ref().context("a pod without spec")?;
        let specified = spec.containers.first().context("a pod without containers")?;
        let image = specified.image.as_deref().unwrap_or_default();
        if node::program(image) == Some(OPERATOR) {
            return self.run_process(specified).await;
        }
        if copy::is_copy(specified) {
            let (succeeded, message) = copy::run(specified, &self.mount().await?).await?;
            return self.report(State::Ended { succeeded, message }).await;
        }
        let Some(service) = node::program(image).and_then(container::service) else {
            let message = format!("Back-off pulling image \"{image}\"");
            self.report(State::Waiting { reason: "ImagePullBackOff", message }).await?;
            return pending().await;
        };
        let mounts = self.mount().await?;
        match specified.args.iter().flatten().next().map(String::as_str) {
            Some(MIGRATE_COMMAND) => {
                let config = configuration(service, specified, &mounts)?;
                let outcome = container::run_migrations(service, config).await;
                let message = outcome.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
                if outcome.is_err() {
                    tracing::warn!(pod = self.pod.name_any(), message, "a migration failed");
                }
                self.report(State::Ended { succeeded: outcome.is_ok(), message }).await
            }
            Some(probe::COMMAND) => {
                // Nothing enforces policies here, which the probe would find out by its first attempt.
                let found = ProbeReport { enforced: Some(false), ..ProbeReport::default() };
                self.report(State::Ended { succeeded: true, message: serde_json::to_string(&found)? }).await
            }
            _ => self.serve(service, specified, &mounts).await,
        }
    }

    /// Runs a process, and starts it again whenever it ends.
    async fn run_process(&self, specified: &Specified) -> anyhow::Result<()> {
        for restarts in 0.. {
            let mut container = ProcessContainer::start(self.machine, self.pod, specified).await?;
            container.ready().await?;
            self.report(container.state(restarts)?).await?;
            container.ended().await?;
            let message = "the process has ended".to_owned();
            self.report(State::Waiting { reason: "CrashLoopBackOff", message }).await?;
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until all is there that the pod mounts.
    async fn mount(&self) -> anyhow::Result<Mounts> {
        let mut told = None;
        loop {
            let missing = match Mounts::of(&self.machine.client, self.pod).await {
                Ok(mounts) => return Ok(mounts),
                Err(missing) => format!("{missing:#}"),
            };
            if told.as_ref() != Some(&missing) {
                self.report(State::Waiting { reason: "ContainerCreating", message: missing.clone() }).await?;
                told = Some(missing);
            }
            tokio::time::sleep(MOUNT_INTERVAL).await;
        }
    }

    async fn serve(&self, service: &'static Service, specified: &Specified, mounts: &Mounts) -> anyhow::Result<()> {
        // It keeps the realms of one installation for its whole process, so no two of it can be in one.
        if service.name == USER_SERVICE {
            self.report(State::Running { ip: "127.0.0.1".to_owned(), id: None, restarts: 0 }).await?;
            return pending().await;
        }
        let config = configuration(service, specified, mounts)?;
        let home = self.machine.homes.of(&self.pod.namespace().unwrap_or_default());
        let container = Container::start(service, config, home, self.machine.kubeconfig.clone()).await?;
        self.report(State::Running { ip: container.ip.clone(), id: None, restarts: 0 }).await?;
        mounts.follow(&self.machine.client, self.pod).await;
        Ok(())
    }
}

fn configuration(service: &'static Service, specified: &Specified, mounts: &Mounts) -> anyhow::Result<Config> {
    container::configuration(service, specified, mounts.path("database"), &mounts.path("identity"))
}
