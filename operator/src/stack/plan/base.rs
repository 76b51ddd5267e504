//! The ground a stack stands on: its namespace, who may do what in it, and whose tokens its services accept.

use easycode_contract::runtime;
use serde_json::json;

use super::{super::home::Home, Blueprint, service};
use crate::kubernetes::{
    labels,
    object::{Kind, Planned},
};

/// Name of the ConfigMap with the issuer's public keys.
pub(crate) const IDENTITY: &str = "identity";
/// Name of the `ResourceQuota` and of the `LimitRange`.
pub(crate) const BOUNDS: &str = "bounds";

/// The namespace, and the operator's own rights in it. Applied before everything else.
#[must_use]
pub fn namespace(blueprint: &Blueprint) -> Vec<Planned> {
    let namespace = blueprint.namespace();
    let mut namespace_labels = blueprint.home.labels(component(blueprint));
    for mode in ["enforce", "audit", "warn"] {
        namespace_labels[format!("pod-security.kubernetes.io/{mode}")] = "restricted".into();
    }
    let mut notes = json!({
        "easycode.io/owner": format!("{}/{}", blueprint.home.kind(), blueprint.home.name()),
        labels::RELEASE: blueprint.release_name(),
    });
    if let Some(requested) = blueprint.requested {
        notes[labels::APPLY_PENDING] = requested.into();
    }
    let operator = blueprint.operator;
    vec![
        Planned::new(
            Kind::Namespace,
            "",
            &namespace,
            json!({ "metadata": { "labels": namespace_labels, "annotations": notes } }),
        ),
        Planned::new(
            Kind::RoleBinding,
            &namespace,
            "easycode-operator",
            json!({
                "metadata": { "labels": blueprint.home.labels("operator") },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": operator.namespace_role },
                "subjects": [{ "kind": "ServiceAccount", "name": operator.service_account, "namespace": operator.namespace }],
            }),
        ),
    ]
}

fn component(blueprint: &Blueprint) -> &'static str {
    match blueprint.home {
        Home::Platform(_) => "platform",
        Home::Instance(_) => "instance",
    }
}

/// The namespace's `ResourceQuota` and `LimitRange`, where there are bounds.
#[must_use]
pub fn bounds(blueprint: &Blueprint) -> Vec<Planned> {
    let bounds = &blueprint.bounds;
    let object = |kind, spec| {
        let body = json!({ "metadata": { "labels": blueprint.home.labels(BOUNDS) }, "spec": spec });
        Planned::new(kind, &blueprint.namespace(), BOUNDS, body)
    };
    let quota = (!bounds.quota.is_empty()).then(|| object(Kind::ResourceQuota, json!({ "hard": bounds.quota })));
    let limits = (!bounds.limits.is_empty()).then(|| object(Kind::LimitRange, json!({ "limits": bounds.limits })));
    quota.into_iter().chain(limits).collect()
}

/// Service accounts, the right of tenant-service to read its own namespace's ConfigMaps, and the issuer's keys.
#[must_use]
pub fn identities(blueprint: &Blueprint) -> Vec<Planned> {
    let namespace = blueprint.namespace();
    let mut objects: Vec<_> =
        blueprint.services().iter().map(|service| service::service_account(blueprint, &service.name)).collect();
    let object_labels = blueprint.home.labels(runtime::TENANT_SERVICE);
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
    if let Some(jwks) = &blueprint.identity.jwks {
        objects.push(Planned::new(
            Kind::ConfigMap,
            &namespace,
            IDENTITY,
            json!({
                "metadata": { "labels": blueprint.home.labels(IDENTITY) },
                "data": { "jwks.json": jwks },
            }),
        ));
    }
    objects
}
