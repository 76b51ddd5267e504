//! A pod of a test's own, behind a Service, in a namespace of its own.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::{Api, api::PostParams};
use serde_json::{Value, from_value, json};

use crate::{cluster::Cluster, own_platform::remove_namespace, tenant::fresh_name, wait::until};

/// The pod. Remove it at the end.
pub struct OwnPod {
    /// Its cluster.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    name: &'static str,
}

impl OwnPod {
    /// Makes the namespace.
    pub async fn namespace(cluster: &Cluster, name: &'static str) -> anyhow::Result<Self> {
        let own = Self { cluster: cluster.clone(), namespace: fresh_name(name), name };
        let namespace: Namespace = from_value(json!({ "metadata": {
            "name": own.namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        } }))?;
        Api::<Namespace>::all(cluster.client.clone()).create(&PostParams::default(), &namespace).await?;
        Ok(own)
    }

    /// Runs a container there as the user, and waits until it is ready.
    pub async fn run(&self, user: u32, mut container: Value, volumes: &Value, port: u16) -> anyhow::Result<()> {
        let name = self.name;
        container["name"] = name.into();
        container["imagePullPolicy"] = "IfNotPresent".into();
        container["resources"] = json!({ "requests": { "cpu": "20m", "memory": "64Mi" } });
        container["securityContext"] =
            json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
        let pod: Pod = from_value(json!({
            "metadata": { "name": name, "labels": { "app": name } },
            "spec": {
                "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [container], "volumes": volumes,
            },
        }))?;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        // The service account that a pod needs is made a moment after the namespace.
        until("the pod is admitted", Duration::from_secs(20), || async {
            Ok(pods.create(&PostParams::default(), &pod).await?)
        })
        .await;
        let service: Service = from_value(json!({
            "metadata": { "name": name },
            "spec": { "selector": { "app": name }, "ports": [{ "port": port }] },
        }))?;
        let services: Api<Service> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        services.create(&PostParams::default(), &service).await?;
        until(&format!("pod {name} is ready"), Duration::from_mins(2), || async {
            let conditions = pods.get(name).await?.status.and_then(|status| status.conditions);
            let ready = conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
            ensure!(ready, "{conditions:?}");
            Ok(())
        })
        .await;
        Ok(())
    }

    /// Host name of the Service.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// Runs a command in it.
    pub async fn exec(&self, command: &str) -> anyhow::Result<String> {
        self.cluster.exec(&self.namespace, self.name, &["sh", "-c", command]).await
    }

    /// Deletes it with its namespace.
    pub async fn remove(self) -> anyhow::Result<()> {
        remove_namespace(&self.cluster, &self.namespace).await
    }
}
