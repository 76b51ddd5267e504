//! The Ingress: one path a service on the platform's domain. Nothing of a service's admin port or internal API is behind it.

use easycode_contract::runtime::TENANT_SERVICE;
use serde_json::json;

use super::Blueprint;
use crate::kubernetes::{
    labels,
    object::{Kind, Planned},
};

/// Name of the platform's Ingress.
pub(crate) const NAME: &str = "services";

/// First segment of the paths that a service serves.
#[must_use]
pub fn prefix(service: &str) -> &str {
    if service == TENANT_SERVICE { "tenant" } else { service }
}

/// The Ingress, if the spec asks for one.
#[must_use]
pub fn ingress(blueprint: &Blueprint) -> Option<Planned> {
    let settings = blueprint.spec.ingress.as_ref()?;
    let paths: Vec<_> = blueprint
        .services()
        .iter()
        .map(|service| {
            json!({
                "path": format!("/{}/", prefix(&service.name)),
                "pathType": "Prefix",
                "backend": { "service": { "name": service.name, "port": { "name": "http" } } },
            })
        })
        .collect();
    let mut spec = json!({
        "ingressClassName": settings.class_name,
        "rules": [{ "host": blueprint.spec.domain, "http": { "paths": paths } }],
    });
    if let Some(secret) = &settings.tls_secret {
        spec["tls"] = json!([{ "hosts": [blueprint.spec.domain], "secretName": secret }]);
    }
    let body = json!({ "metadata": { "labels": labels::of_platform(blueprint.name, "ingress") }, "spec": spec });
    Some(Planned::new(Kind::Ingress, &blueprint.namespace(), NAME, body))
}
