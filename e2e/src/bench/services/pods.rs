//! A service's pod: its memory, and how long it takes from its start until it is ready.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_contract::runtime::ADMIN_PORT;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, LogParams},
};
use serde_json::Value;

use super::super::{figures::round, ground::Ground};
use crate::wait::until;

/// Longest time until a pod that was deleted is replaced.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a new pod is asked whether it is ready: the kubelet asks but once in some seconds.
const ASK: Duration = Duration::from_millis(20);

/// The pods of a service.
pub struct Pods<'a> {
    ground: &'a Ground,
    service: &'a str,
    api: Api<Pod>,
    selector: String,
}

impl<'a> Pods<'a> {
    /// Of a service of the platform.
    pub async fn of(ground: &'a Ground, service: &'a str) -> anyhow::Result<Self> {
        let (client, namespace) = (ground.cluster().client.clone(), ground.platform.namespace());
        let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
        let selector = services.get(service).await?.spec.and_then(|spec| spec.selector).unwrap_or_default();
        let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok(Self { ground, service, api: Api::namespaced(client, &namespace), selector: selector.join(",") })
    }

    async fn all(&self) -> anyhow::Result<Vec<Pod>> {
        self.ground.cluster().pods(&self.ground.platform.namespace(), &self.selector).await
    }

    /// Resident memory of the largest in MiB, as the kubelet says.
    pub async fn memory_mib(&self) -> anyhow::Result<f64> {
        let mut most: Option<f64> = None;
        for pod in self.all().await? {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("a pod without node")?;
            let request = http::Request::get(format!("/api/v1/nodes/{node}/proxy/stats/summary")).body(Vec::new())?;
            let summary: Value = self.ground.cluster().client.request(request).await?;
            let pods = summary["pods"].as_array().into_iter().flatten();
            let its = pods.filter(|one| one["podRef"]["uid"] == Value::from(pod.uid()));
            let containers = its.flat_map(|one| one["containers"].as_array().into_iter().flatten());
            let bytes = containers.filter_map(|one| one["memory"]["rssBytes"].as_f64()).sum::<f64>();
            most = Some(most.unwrap_or_default().max(bytes / 1024.0 / 1024.0));
        }
        most.map(round).with_context(|| format!("{} has no pod", self.service))
    }

    /// Replaces them, and returns the milliseconds from a new one's start until it is ready, as it logs them itself.
    pub async fn restart(&self) -> anyhow::Result<f64> {
        let before: Vec<_> = self.all().await?.iter().filter_map(ResourceExt::uid).collect();
        for pod in self.all().await? {
            self.api.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
        let http = easycode_kit::http::client();
        let new = until(&format!("a new pod of {}", self.service), PATIENCE, || async {
            let new = self.all().await?.into_iter().find(|pod| !before.contains(&pod.uid().unwrap_or_default()));
            let new = new.context("there is none yet")?;
            let address = new.status.as_ref().and_then(|status| status.pod_ip.clone()).context("it has no address")?;
            Ok((new.name_any(), address))
        })
        .await;
        let url = format!("http://{}:{ADMIN_PORT}/readyz", new.1);
        // Asked often, since it notes that it is ready when it is asked. Where it can't be reached from here, the kubelet asks.
        let asking = tokio::spawn(async move {
            loop {
                let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(ASK).await;
            }
        });
        let took = until(&format!("{} is ready", new.0), PATIENCE, || async {
            let log = self.api.logs(&new.0, &LogParams::default()).await?;
            let at = |message: &str| {
                let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let line = lines.into_iter().find(|line| line["message"] == message);
                let time = line.and_then(|line| line["timestamp"].as_str()?.parse::<jiff::Timestamp>().ok());
                time.with_context(|| format!("it has not logged \"{message}\""))
            };
            let took = at("ready")?.duration_since(at("starting")?);
            ensure!(!took.is_negative(), "its clock was set");
            Ok(round(took.as_secs_f64() * 1e3))
        })
        .await;
        asking.abort();
        self.replaced(&before).await;
        Ok(took)
    }

    async fn replaced(&self, before: &[String]) {
        until(&format!("the pods of {} are replaced", self.service), PATIENCE, || async {
            for pod in self.all().await? {
                ensure!(!before.contains(&pod.uid().unwrap_or_default()), "an old one is still there");
                let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
                ensure!(conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"), "not ready");
            }
            Ok(())
        })
        .await;
    }
}
