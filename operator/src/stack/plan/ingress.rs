//! The way in from outside, an Ingress or an `HTTPRoute`: one path a service on the stack's host. Nothing of a service's admin
//! port or internal API is behind it.

use easycode_contract::runtime::{API_PORT, path_prefix};
use serde_json::{Value, json};

use super::{
    super::blueprint::{Certificate, Entrance, Route},
    Blueprint,
};
use crate::kubernetes::object::{Kind, Planned};

/// Name of the stack's Ingress or `HTTPRoute`.
pub(crate) const NAME: &str = "services";

/// The Ingress or the `HTTPRoute`, if the spec asks for one.
#[must_use]
pub fn ingress(blueprint: &Blueprint) -> Option<Planned> {
    let entrance = blueprint.entrance.as_ref()?;
    let mut metadata = json!({ "labels": blueprint.home.labels("ingress") });
    let (kind, spec) = match &entrance.route {
        Route::Ingress { class } => {
            if let Some(Certificate::CertManager { annotation, issuer, .. }) = &entrance.certificate {
                metadata["annotations"] = json!({ *annotation: issuer });
            }
            (Kind::Ingress, by_class(blueprint, entrance, class))
        }
        // The Gateway's own listener has the certificate.
        Route::Gateway { namespace, name, section } => {
            let mut parent = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name });
            if let Some(section) = section {
                parent["sectionName"] = section.as_str().into();
            }
            (Kind::HTTPRoute, by_gateway(blueprint, entrance, &parent))
        }
    };
    Some(Planned::new(kind, &blueprint.namespace(), NAME, json!({ "metadata": metadata, "spec": spec })))
}

fn by_class(blueprint: &Blueprint, entrance: &Entrance, class: &str) -> Value {
    let paths: Vec<_> = blueprint
        .services()
        .iter()
        .map(|service| {
            json!({
                "path": format!("/{}/", path_prefix(&service.name)),
                "pathType": "Prefix",
                "backend": { "service": { "name": service.name, "port": { "name": "http" } } },
            })
        })
        .collect();
    let mut spec = json!({
        "ingressClassName": class,
        "rules": [{ "host": entrance.host, "http": { "paths": paths } }],
    });
    if let Some(certificate) = &entrance.certificate {
        spec["tls"] = json!([{ "hosts": [entrance.host], "secretName": certificate.secret() }]);
    }
    spec
}

fn by_gateway(blueprint: &Blueprint, entrance: &Entrance, parent: &Value) -> Value {
    let rules: Vec<_> = blueprint
        .services()
        .iter()
        .map(|service| {
            json!({
                "matches": [{ "path": { "type": "PathPrefix", "value": format!("/{}", path_prefix(&service.name)) } }],
                "backendRefs": [{ "group": "", "kind": "Service", "name": service.name, "port": API_PORT, "weight": 1 }],
            })
        })
        .collect();
    json!({ "parentRefs": [parent], "hostnames": [entrance.host], "rules": rules })
}
