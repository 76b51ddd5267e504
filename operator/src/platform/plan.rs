//! The blueprint of a platform, as a pure function of its spec and its release.

use easycode_crds::{Release, SharedPlatform, platform::Provider};
use kube::ResourceExt;

use crate::{
    kubernetes::labels,
    stack::{
        blueprint::{Blueprint, Bounds, Certificate, Entrance, Nodes, Operator, Rotation, Route, Server},
        home::Home,
    },
};

/// The stack that the platform asks for.
#[must_use]
pub fn blueprint<'a>(platform: &'a SharedPlatform, release: &'a Release, operator: &'a Operator) -> Blueprint<'a> {
    let spec = &platform.spec;
    let entrance = spec.ingress.as_ref().map(|ingress| Entrance {
        host: spec.domain.clone(),
        route: Route::Ingress { class: ingress.class_name.clone() },
        controller_namespace: ingress.controller_namespace.clone(),
        certificate: ingress.tls_secret.clone().map(Certificate::Secret),
    });
    let server = match (&spec.database.provider, &spec.database.external) {
        (Provider::External, Some(external)) => Server::External(external.secret_ref.clone()),
        _ => Server::Embedded(spec.database.embedded.clone().unwrap_or_default()),
    };
    Blueprint {
        home: Home::Platform(platform.name_any()),
        release,
        wanted: None,
        server,
        entrance,
        identity: &spec.identity,
        settings: spec.services.iter().cloned().map(Into::into).collect(),
        nodes: Nodes::default(),
        bounds: Bounds::default(),
        rotation: Rotation { requested: platform.annotations().get(labels::ROTATE_CREDENTIALS).cloned(), every: None },
        operator,
        requested: platform.annotations().get(labels::APPLY_PENDING).map(String::as_str),
        renews: false,
    }
}

/// Where the platform is reached from outside.
#[must_use]
pub fn endpoint(platform: &SharedPlatform) -> Option<String> {
    platform.spec.ingress.as_ref().map(|ingress| {
        let scheme = if ingress.tls_secret.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", platform.spec.domain)
    })
}
