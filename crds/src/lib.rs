//! The custom resources of `easycode.io/v1alpha1`.
//!
//! The types here are the API's single source: `cargo run -p easycode-crds --bin crdgen` writes them as YAML to
//! `crds/yaml`, and a test proves the two in sync. What a bad object violates is told by the rules beside each field.

pub mod channel;
pub mod conditions;
pub mod instance;
mod names;
pub mod platform;
pub mod release;
mod resources;
pub mod scalars;
pub mod stack;
pub mod tenant;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use channel::{ReleaseChannel, ReleaseChannelSpec, ReleaseChannelStatus};
pub use instance::{DedicatedInstance, DedicatedInstanceSpec, DedicatedInstanceStatus};
pub use platform::{SharedPlatform, SharedPlatformSpec, SharedPlatformStatus};
pub use release::{Release, ReleaseSpec, ReleaseStatus};
pub use scalars::{Duration, Storage};
pub use tenant::{Tenant, TenantSpec, TenantStatus};

/// API group of all resources here; also the prefix of labels and annotations.
pub const GROUP: &str = "easycode.io";

/// Every custom resource definition with the name of its file in `crds/yaml`.
#[must_use]
pub fn definitions() -> Vec<(String, CustomResourceDefinition)> {
    [Tenant::crd(), DedicatedInstance::crd(), SharedPlatform::crd(), Release::crd(), ReleaseChannel::crd()]
        .into_iter()
        .map(|crd| (format!("{}.yaml", crd.spec.names.plural), crd))
        .collect()
}

/// The YAML of a definition as it is checked in.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    Ok(format!("# Generated from crds/src by `make crds`; do not edit.\n{}", serde_saphyr::to_string(crd)?))
}
