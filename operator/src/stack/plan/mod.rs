//! The objects of a stack, as a pure function of its blueprint.

pub mod amount;
pub mod base;
pub mod certificates;
pub mod cloudnative_pg;
pub mod ingress;
pub mod migration;
pub mod network;
pub mod postgres;
pub mod rotation;
pub mod secrets;
pub mod service;
pub mod signing_keys;
pub mod workload;

use serde_json::{Value, json};

use super::blueprint::{Blueprint, Server};
use crate::kubernetes::object::Planned;

/// Label of pods that may connect to the stack's Postgres.
pub(crate) const DATABASE_CLIENT: &str = "easycode.io/database-client";
/// User and group that all EasyCode programs run as.
pub(crate) const USER: i64 = 65532;

/// The objects of a stack that can be known without a cluster: all but Secrets.
#[must_use]
pub fn objects(blueprint: &Blueprint) -> Vec<Planned> {
    let mut objects = base::namespace(blueprint);
    objects.extend(base::bounds(blueprint));
    objects.extend(base::identities(blueprint));
    objects.extend(network::policies(blueprint));
    objects.extend(network::to_external(blueprint, 5432));
    match &blueprint.server {
        Server::Embedded(settings) => objects.extend(postgres::objects(blueprint, settings, None).0),
        Server::CloudNativePg(settings, _) => {
            objects.push(cloudnative_pg::cluster(blueprint, settings, secrets::CLOUD_NATIVE_LOGIN));
        }
        Server::External(_) => {}
    }
    for released in blueprint.services() {
        objects.push(migration::job(blueprint, released));
        objects.extend(service::objects(blueprint, released, None).0);
    }
    objects.extend(ingress::ingress(blueprint));
    objects
}

/// Security of a pod that satisfies the pod security standard `restricted`.
pub(crate) fn pod_security(user: i64) -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// Security of a container that satisfies the pod security standard `restricted`.
pub(crate) fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}
