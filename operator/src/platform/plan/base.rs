//! The ground a platform stands on: its namespace, who may do what in it, and whose tokens its services accept.

use easycode_contract::runtime;
use serde_json::json;

use super::{Blueprint, service};
use crate::kubernetes::{
    labels,
    object::{Kind, Planned},
};

/// Name of the ConfigMap with the issuer's public keys.
pub(crate) const IDENTITY: &str = "identity";

/// The namespace, and the operator's own rights in it. Applied before everything else.
#[must_use]
pub fn namespace(blueprint: &Blueprint) -> Vec<Planned> {
    let namespace = blueprint.namespace();
    let mut namespace_labels = labels::of_platform(blueprint.name, "platform");
    for mode in ["enforce", "audit", "warn"] {
        namespace_labels[format!("pod-security.kubernetes.io/{mode}")] = "restricted".into();
    }
    let owner = json!({ "easycode.io/owner": format!("SharedPlatform/{}", blueprint.name) });
    let operator = blueprint.operator;
    vec![
        Planned::new(
            Kind::Namespace,
            "",
            &namespace,
            json!({ "metadata": { "labels": namespace_labels, "annotations": owner } }),
        ),
        Planned::new(
            Kind::RoleBinding,
            &namespace,
            "easycode-operator",
            json!({
                "metadata": { "labels": labels::of_platform(blueprint.name, "operator") },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": operator.namespace_role },
                "subjects": [{ "kind": "ServiceAccount", "name": operator.service_account, "namespace": operator.namespace }],
            }),
        ),
    ]
}

/// Service accounts, the right of tenant-service to read its own namespace's ConfigMaps, and the issuer's keys.
#[must_use]
pub fn identities(blueprint: &Blueprint) -> Vec<Planned> {
    let namespace = blueprint.namespace();
    let mut objects: Vec<_> =
        blueprint.services().iter().map(|service| service::service_account(blueprint, &service.name)).collect();
    let object_labels = labels::of_platform(blueprint.name, runtime::TENANT_SERVICE);
    objects.push(Planned::new(
        Kind::Role,
        &namespace,
        runtime::TENANT_SERVICE,
        json!({
            "metadata": { "labels": object_labels },
            "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"] }],
        }),
    ));
    objects.push(Planned::new(
        Kind::RoleBinding,
        &namespace,
        runtime::TENANT_SERVICE,
        json!({
            "metadata": { "labels": object_labels },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": runtime::TENANT_SERVICE },
            "subjects": [{ "kind": "ServiceAccount", "name": runtime::TENANT_SERVICE, "namespace": namespace }],
        }),
    ));
    if let Some(jwks) = &blueprint.spec.identity.jwks {
        objects.push(Planned::new(
            Kind::ConfigMap,
            &namespace,
            IDENTITY,
            json!({
                "metadata": { "labels": labels::of_platform(blueprint.name, IDENTITY) },
                "data": { "jwks.json": jwks },
            }),
        ));
    }
    objects
}
