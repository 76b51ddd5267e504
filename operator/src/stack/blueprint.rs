//! What all objects of a stack are planned from, whichever resource asks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use easycode_crds::{
    Release,
    instance::{Backup, CloudNativePg},
    platform::{EmbeddedDatabase, Identity, SecretRef, ServiceSize},
    release::ReleasedService,
    stack::CONNECTIONS,
};
use k8s_openapi::api::core::v1::Toleration;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{home::Home, names::Names};

/// Who the operator is, as far as a stack's objects refer to it.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// The `ClusterRole` that it binds itself to in each namespace it makes, for Secrets.
    pub namespace_role: String,
    /// Namespace of CloudNativePG's operator, if there is one.
    pub cloudnative_pg_namespace: String,
    /// Where names are resolved.
    pub names: Names,
}

/// The Postgres of a stack.
#[derive(Clone, Debug)]
pub enum Server {
    /// The operator runs it.
    Embedded(EmbeddedDatabase),
    /// CloudNativePG runs it.
    CloudNativePg(CloudNativePg, Option<Backup>),
    /// Someone else runs it; the Secret tells where.
    External(SecretRef),
}

/// How a stack is reached from outside.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Host name.
    pub host: String,
    /// By what.
    pub route: Route,
    /// Namespace of the controller that forwards requests.
    pub controller_namespace: String,
    /// The certificate, if it speaks TLS.
    pub certificate: Option<Certificate>,
}

/// What forwards requests to the services.
#[derive(Clone, Debug)]
pub enum Route {
    /// An Ingress of the class.
    Ingress {
        /// Name of the `IngressClass`.
        class: String,
    },
    /// An `HTTPRoute` at a Gateway.
    Gateway {
        /// Namespace of the Gateway.
        namespace: String,
        /// Name of the Gateway.
        name: String,
        /// One listener of it.
        section: Option<String>,
    },
}

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// A Secret that is there.
    Secret(String),
    /// cert-manager makes it.
    CertManager {
        /// `cert-manager.io/cluster-issuer` or `cert-manager.io/issuer`.
        annotation: &'static str,
        /// Name of the issuer.
        issuer: String,
        /// Secret that it makes.
        secret: String,
    },
}

impl Certificate {
    /// The Secret that holds it.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::Secret(secret) | Self::CertManager { secret, .. } => secret,
        }
    }
}

/// How one service is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSettings {
    /// Replicas, resources, connections.
    #[serde(flatten)]
    pub size: ServiceSize,
    /// Bounds of a `HorizontalPodAutoscaler`, which then sets the replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// More environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files of an extra configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// An image other than the release's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Bounds of a `HorizontalPodAutoscaler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest pods.
    pub min_replicas: i32,
    /// Most pods.
    pub max_replicas: i32,
    /// Use of the requested CPU that it keeps to, in percent.
    pub target_cpu_percent: i32,
}

impl From<ServiceSize> for ServiceSettings {
    fn from(size: ServiceSize) -> Self {
        Self { size, autoscaling: None, environment: BTreeMap::new(), files: BTreeMap::new(), image: None }
    }
}

impl ServiceSettings {
    /// Of a service of which nothing is said.
    #[must_use]
    pub fn standard(service: &str) -> Self {
        ServiceSize { name: service.to_owned(), replicas: 1, resources: None, connections: CONNECTIONS }.into()
    }
}

/// On which nodes the pods may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Labels that a node must have.
    pub selector: BTreeMap<String, String>,
    /// Taints that are borne.
    pub tolerations: Vec<Toleration>,
}

impl Nodes {
    /// Whether any node will do.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.selector.is_empty() && self.tolerations.is_empty()
    }
}

/// Bounds that the namespace itself has.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// `hard` of the `ResourceQuota`.
    pub quota: BTreeMap<String, String>,
    /// The `limits` of the `LimitRange`.
    pub limits: Vec<Value>,
    /// Further addresses that the services may connect to: ranges, with ports each.
    pub egress: Vec<(String, Vec<u16>)>,
}

impl Bounds {
    /// The limits that a container gets that names none, by resource.
    #[must_use]
    pub fn defaults(&self) -> BTreeMap<String, String> {
        let given = self.limits.iter().filter_map(|limits| limits["default"].as_object()).flatten();
        given.filter_map(|(resource, amount)| Some((resource.clone(), amount.as_str()?.to_owned()))).collect()
    }
}

/// What asks for new credentials for the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Value of the annotation that asks for them.
    pub requested: Option<String>,
    /// How often they are renewed anyway.
    pub every: Option<Duration>,
}

/// What all objects of a stack are planned from.
#[derive(Clone)]
pub struct Blueprint<'a> {
    /// The stack.
    pub home: Home,
    /// The release it is to run.
    pub release: &'a Release,
    /// The services that it is to run, if not all of the release.
    pub wanted: Option<BTreeSet<String>>,
    /// Its Postgres.
    pub server: Server,
    /// How it is reached from outside.
    pub entrance: Option<Entrance>,
    /// Whose tokens its services accept.
    pub identity: &'a Identity,
    /// How single services are run.
    pub settings: Vec<ServiceSettings>,
    /// Where its pods run.
    pub nodes: Nodes,
    /// Bounds of its namespace.
    pub bounds: Bounds,
    /// What asks for new credentials for the database.
    pub rotation: Rotation,
    /// The operator.
    pub operator: &'a Operator,
    /// Value of the annotation that asks for a pending rendering.
    pub requested: Option<&'a str>,
    /// Whether what an older operator rendered is rendered anew: so in a window of maintenance.
    pub renews: bool,
}

impl<'a> Blueprint<'a> {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.home.namespace()
    }

    /// The services that are to run.
    #[must_use]
    pub fn services(&self) -> Vec<&'a ReleasedService> {
        let is_wanted =
            |service: &&ReleasedService| self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&service.name));
        self.release.spec.services.iter().filter(is_wanted).collect()
    }

    /// Whether a service is to run.
    #[must_use]
    pub fn runs(&self, service: &str) -> bool {
        self.services().iter().any(|one| one.name == service)
    }

    /// How a service is run.
    #[must_use]
    pub fn settings_of(&self, service: &str) -> ServiceSettings {
        let named = self.settings.iter().find(|settings| settings.size.name == service).cloned();
        named.unwrap_or_else(|| ServiceSettings::standard(service))
    }

    /// The image of a service.
    #[must_use]
    pub fn image_of(&self, service: &ReleasedService) -> String {
        self.settings_of(&service.name).image.unwrap_or_else(|| service.image.clone())
    }

    /// The same stack with another release.
    #[must_use]
    pub fn with_release(&self, release: &'a Release) -> Self {
        Self { release, ..self.clone() }
    }

    /// The name of the release.
    #[must_use]
    pub fn release_name(&self) -> String {
        self.release.name_any()
    }
}
