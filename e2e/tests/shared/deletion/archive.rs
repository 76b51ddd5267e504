//! `Archive`: a last dump that can be restored is on the archive's volume before anything is erased.

use anyhow::{Context, ensure};
use easycode_e2e::{
    platform::Platform,
    tenant::{PATIENCE, TestTenant},
    wait::until,
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, LogParams, PostParams},
};
use serde_json::json;

use super::{erased, uid};

/// Runs a script in a pod that has the archive's volume, and returns what it printed.
async fn in_archive(platform: &Platform, name: &str, script: &str) -> anyhow::Result<String> {
    let sets: Api<StatefulSet> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let set = sets.get("postgres").await?.spec.and_then(|spec| spec.template.spec).context("no pod template")?;
    let (image, security) = (&set.containers[0].image, &set.containers[0].security_context);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false, "securityContext": set.security_context,
            "containers": [{
                "name": "c", "image": image, "command": ["sh", "-euc", script], "securityContext": security,
                "volumeMounts": [{ "name": "archive", "mountPath": "/archive" }],
            }],
            "volumes": [{ "name": "archive", "persistentVolumeClaim": { "claimName": "archive" } }],
        },
    });
    let pods: Api<Pod> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let phase = until("the pod with the archive has ended", PATIENCE, || async {
        let phase = pods.get(name).await?.status.and_then(|status| status.phase).unwrap_or_default();
        ensure!(["Succeeded", "Failed"].contains(&phase.as_str()), "{phase}");
        Ok(phase)
    })
    .await;
    let printed = pods.logs(name, &LogParams::default()).await?;
    pods.delete(name, &DeleteParams::default()).await?;
    ensure!(phase == "Succeeded", "{phase}: {printed}");
    Ok(printed)
}

#[tokio::test]
async fn an_archived_tenant_is_erased_after_a_dump_that_can_be_restored() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "archived", json!({ "deletionPolicy": "Archive" })).await?;
    tenant.add_contact("Archived").await?;
    let old = uid(&tenant).await?;
    tenant.delete().await?;
    tenant.serves(403).await;
    tenant.gone().await;
    erased(&tenant).await?;

    let claims: Api<PersistentVolumeClaim> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let claim = claims.get("archive").await?;
    ensure!(claim.metadata.owner_references.is_none(), "the archive goes with its owner: {claim:?}");
    let folder = format!("/archive/{}/{old}", tenant.name);
    let script = format!(
        "cd {folder}; ls; sha256sum --check --strict SHA256SUMS; \
         pg_restore --list crm.dump; pg_restore --file=- crm.dump; \
         pg_restore --list tenant-service.dump; rm -r /archive/{}",
        tenant.name
    );
    let printed = in_archive(&platform, &tenant.name, &script).await?;
    let role = tenant.role();
    for expected in [
        "crm.dump: OK",
        "tenant-service.dump: OK",
        &format!("TABLE DATA {role} contact {role}"),
        &format!("TABLE DATA {role} setting {role}"),
        "Archived",
    ] {
        ensure!(printed.contains(expected), "{expected:?} is not in\n{printed}");
    }
    ensure!(!printed.contains(".part"), "something unfinished is left:\n{printed}");
    let jobs: Api<Job> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    jobs.delete(&format!("archive-{}-{}", tenant.name, &old[..8]), &DeleteParams::background()).await?;
    Ok(())
}
