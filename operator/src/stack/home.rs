//! Where a tenant lives: a shared platform, or a dedicated instance.

use std::{fmt, sync::Arc};

use easycode_crds::{DedicatedInstance, SharedPlatform, stack::EmbeddedDatabase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use serde_json::{Value, json};

use crate::kubernetes::labels;

/// A platform or an instance, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Home {
    /// A `SharedPlatform`.
    Platform(String),
    /// A `DedicatedInstance`.
    Instance(String),
}

impl Home {
    /// Name of the custom resource.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Platform(name) | Self::Instance(name) => name,
        }
    }

    /// Kind of the custom resource.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Platform(_) => "SharedPlatform",
            Self::Instance(_) => "DedicatedInstance",
        }
    }

    /// The namespace of everything in it.
    #[must_use]
    pub fn namespace(&self) -> String {
        match self {
            Self::Platform(name) => format!("easycode-platform-{name}"),
            Self::Instance(name) => format!("easycode-instance-{name}"),
        }
    }

    /// The label that everything in it has, and every tenant that was placed there; its value is the name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Platform(_) => labels::PLATFORM,
            Self::Instance(_) => labels::INSTANCE,
        }
    }

    /// Labels of an object in it.
    #[must_use]
    pub fn labels(&self, component: &str) -> Value {
        json!({
            "app.kubernetes.io/name": component,
            "app.kubernetes.io/instance": self.name(),
            "app.kubernetes.io/part-of": "easycode",
            "app.kubernetes.io/managed-by": "easycode-operator",
            self.label(): self.name(),
        })
    }

    /// Labels of an object of one of its services.
    #[must_use]
    pub fn service_labels(&self, service: &str, version: &str) -> Value {
        let mut all = self.labels(service);
        all["app.kubernetes.io/component"] = "service".into();
        all[labels::VERSION] = version.into();
        all[labels::SERVICE] = service.into();
        all
    }
}

/// The custom resource of a home.
pub enum HomeObject {
    /// Of a platform.
    Platform(Arc<SharedPlatform>),
    /// Of an instance.
    Instance(Arc<DedicatedInstance>),
}

impl HomeObject {
    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Platform(platform) => &platform.metadata,
            Self::Instance(instance) => &instance.metadata,
        }
    }

    /// What it says of itself.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::Platform(platform) => platform.status.as_ref().map(|status| &*status.conditions),
            Self::Instance(instance) => instance.status.as_ref().map(|status| &*status.conditions),
        }
        .unwrap_or_default()
    }

    /// What its spec says of a Postgres of its own.
    #[must_use]
    pub fn embedded(&self) -> Option<&EmbeddedDatabase> {
        match self {
            Self::Platform(platform) => platform.spec.database.embedded.as_ref(),
            Self::Instance(instance) => instance.spec.database.embedded.as_ref(),
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}
