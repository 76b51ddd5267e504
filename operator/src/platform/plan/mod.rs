//! The objects of a platform, as a pure function of its spec and its release.

pub mod base;
pub mod ingress;
pub mod migration;
pub mod network;
pub mod postgres;
pub mod secrets;
pub mod service;
pub mod workload;

use easycode_crds::{Release, SharedPlatform, SharedPlatformSpec, platform::Provider, release::ReleasedService};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::kubernetes::{labels, object::Planned};

/// Label of pods that may connect to the platform's Postgres.
pub(crate) const DATABASE_CLIENT: &str = "easycode.io/database-client";
/// User and group that all EasyCode programs run as.
pub(crate) const USER: i64 = 65532;

/// The namespace of a platform.
#[must_use]
pub fn namespace_of(platform: &str) -> String {
    format!("easycode-platform-{platform}")
}

/// Who the operator is, as far as a platform's objects refer to it.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// The `ClusterRole` that it binds itself to in each namespace it makes, for Secrets.
    pub namespace_role: String,
}

/// What all objects of a platform are planned from.
#[derive(Clone, Copy)]
pub struct Blueprint<'a> {
    /// Name of the platform.
    pub name: &'a str,
    /// Its spec.
    pub spec: &'a SharedPlatformSpec,
    /// The release it is to run.
    pub release: &'a Release,
    /// The operator.
    pub operator: &'a Operator,
    /// Value of the annotation that asks for a pending rendering.
    pub requested: Option<&'a str>,
}

impl<'a> Blueprint<'a> {
    /// Of the platform.
    #[must_use]
    pub fn new(platform: &'a SharedPlatform, release: &'a Release, operator: &'a Operator) -> Self {
        Self {
            name: platform.metadata.name.as_deref().unwrap_or_default(),
            spec: &platform.spec,
            release,
            operator,
            requested: platform.annotations().get(labels::APPLY_PENDING).map(String::as_str),
        }
    }

    /// The platform's namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        namespace_of(self.name)
    }

    /// The services of the release.
    #[must_use]
    pub fn services(&self) -> &'a [ReleasedService] {
        &self.release.spec.services
    }
}

/// The objects of a platform that can be known without a cluster: all but Secrets.
#[must_use]
pub fn objects(platform: &SharedPlatform, release: &Release, operator: &Operator) -> Vec<Planned> {
    let blueprint = Blueprint::new(platform, release, operator);
    let mut objects = base::namespace(&blueprint);
    objects.extend(base::identities(&blueprint));
    objects.extend(network::policies(&blueprint, 5432));
    if platform.spec.database.provider == Provider::Embedded {
        objects.extend(postgres::objects(&blueprint, None).0);
    }
    for released in blueprint.services() {
        objects.push(migration::job(&blueprint, released));
        objects.extend(service::objects(&blueprint, released, None).0);
    }
    objects.extend(ingress::ingress(&blueprint));
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
