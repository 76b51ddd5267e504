//! What a program that was taken over could do on its node: nothing.

use anyhow::{Context, ensure};
use easycode_contract::runtime::COMMON_SERVICES;
use easycode_e2e::platform::Platform;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::json;

/// Checks that a container can't become root, gain rights or write to its own image.
fn locked_down(pod: &PodSpec, container: &Container) -> anyhow::Result<()> {
    let of_pod = pod.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().context("no security context")?;
    ensure!(own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true), "may run as root");
    ensure!(own.run_as_user.or(of_pod.run_as_user).is_some_and(|user| user > 0), "no user of its own");
    ensure!(own.read_only_root_filesystem == Some(true), "may write to its root file system");
    ensure!(own.allow_privilege_escalation == Some(false) && own.privileged != Some(true), "may gain privileges");
    let capabilities = own.capabilities.unwrap_or_default();
    ensure!(capabilities.drop.unwrap_or_default() == ["ALL"], "keeps capabilities");
    ensure!(capabilities.add.unwrap_or_default().is_empty(), "adds capabilities");
    let profile = own.seccomp_profile.or(of_pod.seccomp_profile).context("no seccomp profile")?;
    ensure!(profile.type_ == "RuntimeDefault", "seccomp {}", profile.type_);
    Ok(())
}

#[tokio::test]
async fn every_pod_of_a_platform_runs_without_rights() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let pods = platform.cluster.pods(&platform.namespace(), "app.kubernetes.io/managed-by=easycode-operator").await?;
    let mut names = Vec::new();
    for pod in pods {
        let spec = pod.spec.clone().context("a pod without spec")?;
        let label = |key: &str| pod.labels().get(key).map(String::as_str).unwrap_or_default();
        let name = label("app.kubernetes.io/name");
        let serves = label("app.kubernetes.io/component") == "service";
        let shares = [spec.host_network, spec.host_pid, spec.host_ipc, spec.share_process_namespace];
        ensure!(!shares.contains(&Some(true)), "{}: shares something of the host", pod.name_any());
        let mounts_host = spec.volumes.iter().flatten().any(|volume| volume.host_path.is_some());
        ensure!(!mounts_host, "{}: mounts a path of the host", pod.name_any());
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            locked_down(&spec, container).with_context(|| format!("{}/{}", pod.name_any(), container.name))?;
        }
        let token = spec.automount_service_account_token != Some(false);
        ensure!(
            token == (serves && COMMON_SERVICES.contains(&name)),
            "{}: token of the API server: {token}",
            pod.name_any()
        );
        names.push(name.to_owned());
    }
    for name in ["crm", "postgres"].iter().chain(&COMMON_SERVICES) {
        ensure!(names.iter().any(|one| one == *name), "{name} is not among {names:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_running_pod_has_no_rights_indeed() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let look = "id -u; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '; \
                touch /evil 2>/dev/null && echo writable || echo read-only; \
                test -e /var/run/secrets/kubernetes.io/serviceaccount/token && echo token || echo none";
    let seen = platform.cluster.exec(&platform.namespace(), "postgres-0", &["sh", "-c", look]).await?;
    let seen: Vec<_> = seen.lines().map(str::trim).collect();
    let expected = ["999", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "read-only", "none"];
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_platforms_namespace_admits_no_pod_with_rights() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let pods: Api<Pod> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let dry_run = PostParams { dry_run: true, ..Default::default() };
    let allowed = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let attempt = async |changes: serde_json::Value, host: bool| {
        let mut security = allowed.clone();
        for (key, value) in changes.as_object().into_iter().flatten() {
            security[key] = value.clone();
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "e2e-intruder" },
            "spec": { "hostNetwork": host, "containers": [{ "name": "c", "image": "i", "securityContext": security }] },
        });
        anyhow::Ok(pods.create(&dry_run, &serde_json::from_value(pod)?).await)
    };
    attempt(json!({}), false).await?.context("what has no rights is admitted")?;
    for (changes, host) in [
        (json!({ "privileged": true, "allowPrivilegeEscalation": true }), false),
        (json!({ "runAsUser": 0, "runAsNonRoot": false }), false),
        (json!({ "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] } }), false),
        (json!({ "allowPrivilegeEscalation": true }), false),
        (json!({ "seccompProfile": { "type": "Unconfined" } }), false),
        (json!({}), true),
    ] {
        let outcome = attempt(changes.clone(), host).await?;
        let refusal = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refusal.contains("violates PodSecurity \"restricted"), "{changes} {host}: {refusal}");
    }
    Ok(())
}
