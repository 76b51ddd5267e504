//! The objects of an instance: made again, or changed back, whoever takes a hand to them.

use std::time::Instant;

use anyhow::{Context, ensure};
use easycode_e2e::{own_instance::OwnInstance, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{MENDED, api, cluster, first_contact};

/// One with as many kinds of objects as there are.
fn everything() -> Value {
    json!({
        "isolation": {
            "quota": { "cpu": "4", "memory": "4Gi", "pods": 20 }, "limits": { "defaultCpu": "200m" },
            "egress": [{ "cidr": "203.0.113.0/24", "ports": [443] }],
        },
        "ingress": { "host": "erp.e2e.example", "className": "e2e", "controllerNamespace": "e2e" },
        "services": [{
            "name": "crm", "autoscaling": { "minReplicas": 1, "maxReplicas": 2 }, "config": { "receipt.html": "<p>" },
        }],
    })
}

/// What of an object says how it is meant: all but what the API server and controllers add.
fn meant(object: &DynamicObject) -> Value {
    let mut body = object.data.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    json!({ "labels": object.metadata.labels, "body": body })
}

#[tokio::test]
async fn whatever_is_changed_is_changed_back() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "changed", everything()).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let namespace = own.namespace();
    let changes = [
        (
            Kind::Namespace,
            &*namespace,
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/warn": "privileged" } } }),
        ),
        (Kind::ResourceQuota, "bounds", json!({ "spec": { "hard": { "pods": "1000" } } })),
        (
            Kind::LimitRange,
            "bounds",
            json!({ "spec": { "limits": [{ "type": "Container", "default": { "cpu": "8" } }] } }),
        ),
        (Kind::NetworkPolicy, "default-deny", json!({ "spec": { "ingress": [{}] } })),
        // What is only added opens, too: pods of every namespace, further ports, all pods but these.
        (
            Kind::NetworkPolicy,
            "postgres-from-clients",
            json!({ "spec": { "ingress": [{
                "from": [{ "namespaceSelector": {}, "podSelector": { "matchLabels": { "easycode.io/database-client": "true" } } }],
                "ports": [{ "port": 5432, "protocol": "TCP" }],
            }] } }),
        ),
        (
            Kind::NetworkPolicy,
            "services-from-services",
            json!({ "spec": { "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { "app.kubernetes.io/component": "service" } } }],
                "ports": [{ "port": 8080, "endPort": 9090, "protocol": "TCP" }],
            }] } }),
        ),
        (
            Kind::NetworkPolicy,
            "default-deny",
            json!({ "spec": { "podSelector": { "matchLabels": { "forged": "true" } } } }),
        ),
        (Kind::NetworkPolicy, "services-to-addresses", json!({ "spec": { "egress": [{}] } })),
        (Kind::Ingress, "services", json!({ "spec": { "rules": [{ "host": "forged.example" }] } })),
        (
            Kind::Role,
            "tenant-service",
            json!({ "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] }),
        ),
        (Kind::ConfigMap, "identity", json!({ "data": { "jwks.json": "{\"keys\": [\"forged\"]}" } })),
        (Kind::ConfigMap, "extra-crm", json!({ "data": { "receipt.html": "forged" } })),
        (Kind::HorizontalPodAutoscaler, "crm", json!({ "spec": { "maxReplicas": 50 } })),
        (Kind::PodDisruptionBudget, "crm", json!({ "spec": { "maxUnavailable": 5 } })),
        (Kind::Service, "crm", json!({ "spec": { "selector": { "app.kubernetes.io/name": "postgres" } } })),
        (Kind::Service, "crm", json!({ "spec": { "selector": { "forged": "true" } } })),
        (Kind::ServiceAccount, "crm", json!({ "automountServiceAccountToken": true })),
        (Kind::Deployment, "crm", json!({ "spec": { "template": { "spec": { "nodeSelector": null } } } })),
        (
            Kind::StatefulSet,
            "postgres",
            json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete" } } }),
        ),
        // Without its labels nobody would see it any more.
        (
            Kind::NetworkPolicy,
            "dns",
            json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null, "easycode.io/instance": null } } }),
        ),
    ];
    for (kind, name, patch) in changes {
        let api = api(&own.platform, kind);
        let before = meant(&api.get(name).await?);
        let answer = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        ensure!(meant(&answer) != before, "{kind:?} {name}: the change changes nothing");
        let begun = Instant::now();
        until(&format!("{kind:?} {name} is as it was"), MENDED, || async {
            let now = meant(&api.get(name).await?);
            ensure!(now == before, "{now}, and was {before}");
            Ok(())
        })
        .await;
        println!("{kind:?} {name}: as it was after {:?}", begun.elapsed());
    }
    own.ready().await;
    ensure!(first_contact(&own).await? == "Lovelace", "its data is gone");
    own.remove().await
}

#[tokio::test]
async fn whatever_is_deleted_is_made_again_and_the_data_stays() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let own = OwnInstance::apply_new(&cluster, "deleted", everything()).await?;
    own.ready().await;
    own.tenant.add_contact("Lovelace").await?;
    let context = format!("tenant-{}", own.tenant.name);
    let objects = [
        (Kind::ResourceQuota, "bounds"),
        (Kind::LimitRange, "bounds"),
        (Kind::NetworkPolicy, "default-deny"),
        (Kind::NetworkPolicy, "postgres-from-clients"),
        (Kind::Ingress, "services"),
        (Kind::RoleBinding, "tenant-service"),
        (Kind::Role, "tenant-service"),
        // By which it may do anything here.
        (Kind::RoleBinding, "easycode-operator"),
        (Kind::ConfigMap, "identity"),
        (Kind::ConfigMap, &context),
        (Kind::HorizontalPodAutoscaler, "crm"),
        (Kind::PodDisruptionBudget, "crm"),
        (Kind::Service, "crm"),
        (Kind::ServiceAccount, "crm"),
        (Kind::Deployment, "crm"),
        (Kind::Deployment, "tenant-service"),
        (Kind::Secret, "database-svc-crm"),
        (Kind::Secret, "postgres-operator"),
        (Kind::ConfigMap, "postgres"),
        (Kind::Service, "postgres"),
        (Kind::StatefulSet, "postgres"),
    ];
    for (kind, name) in objects {
        let api = api(&own.platform, kind);
        let before = api.get(name).await?.uid();
        api.delete(name, &DeleteParams::background()).await?;
        let begun = Instant::now();
        // A Secret is not watched, but looked at with each survey.
        let longest = if kind == Kind::Secret { 2 * MENDED } else { MENDED };
        until(&format!("{kind:?} {name} is there again"), longest, || async {
            let now = api.get_opt(name).await?.context("it is gone")?;
            ensure!(now.uid() != before, "it is still the old one");
            Ok(())
        })
        .await;
        println!("{kind:?} {name}: made again after {:?}", begun.elapsed());
    }
    until("its data is served again", 3 * MENDED, || async {
        let answer = own.tenant.read("/contacts").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await;
    ensure!(first_contact(&own).await? == "Lovelace", "its data is gone");
    own.ready().await;
    own.remove().await
}
