//! Which workload of the cluster asks: tokens of service accounts, issued by the cluster for one audience, checked against its
//! keys. For APIs that are not for people.

use std::{env, fs, sync::Arc};

use anyhow::Context;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use jsonwebtoken::jwk::JwkSet;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;

use crate::{
    App, Config, Problem,
    http::trusting,
    keys::{KeyLocation, KeySource},
    token::{Verifier, bearer, issuer},
};

/// Where a pod finds the API server's certificate and its own token for it.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The cluster's own keys, as its API server publishes them.
struct ClusterKeys {
    url: String,
    http: reqwest::Client,
}

impl ClusterKeys {
    fn connect() -> anyhow::Result<Self> {
        let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(format!("{MOUNT}/ca.crt")).context("the cluster's authority")?
        {
            roots.add(certificate?)?;
        }
        let url = format!("https://{host}:{}/openid/v1/jwks", variable("KUBERNETES_SERVICE_PORT")?);
        Ok(Self { url, http: trusting(roots).build()? })
    }
}

impl ClusterKeys {
    async fn read(&self) -> anyhow::Result<JwkSet> {
        // Read each time, since the kubelet renews it.
        let token = tokio::fs::read_to_string(format!("{MOUNT}/token")).await?;
        let response = self.http.get(&self.url).bearer_auth(token.trim()).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }
}

/// Where the keys of workloads' tokens are.
enum WorkloadKeys {
    Cluster(ClusterKeys),
    Location(KeyLocation),
}

impl KeySource for WorkloadKeys {
    async fn read(&self) -> anyhow::Result<JwkSet> {
        match self {
            Self::Cluster(keys) => keys.read().await,
            Self::Location(keys) => keys.read().await,
        }
    }
}

#[derive(Clone, Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Workload,
}

/// A workload, by its service account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    serviceaccount: Account,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Account {
    name: String,
}

impl Workload {
    /// Name of its service account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.serviceaccount.name
    }
}

/// Checks the tokens of workloads; cheap to clone.
#[derive(Clone)]
pub struct Workloads(Arc<Verifier<WorkloadKeys>>);

impl Workloads {
    /// For tokens of the audience.
    pub fn new(config: &Config, audience: &str) -> anyhow::Result<Self> {
        // Its own token comes from the same issuer, and from the kubelet, so it need not be checked.
        let own = fs::read_to_string(&config.identity_token).context("reading the service's own token")?;
        Ok(Self(Arc::new(Verifier::new(WorkloadKeys::Cluster(ClusterKeys::connect()?), &issuer(&own)?, audience))))
    }

    /// For tokens of the audience that another issuer than the cluster has signed, with keys in a file or at a URL.
    #[must_use]
    pub fn issued_by(issuer: &str, keys: &str, audience: &str) -> Self {
        Self(Arc::new(Verifier::new(WorkloadKeys::Location(KeyLocation::new(keys)), issuer, audience)))
    }

    /// The workload whose token the request bears.
    pub async fn asking(&self, headers: &HeaderMap) -> Result<Workload, Problem> {
        let token = bearer(headers)
            .ok_or_else(|| Problem::unauthorized("send the service account's token as Authorization: Bearer …"))?;
        let claims: Claims = self.0.verify(token).await?;
        Ok(claims.kubernetes)
    }
}

/// A service of the same platform or instance that asks, by its service account's name, which is that of the service. Taken where the
/// router has [`Workloads`] as an extension.
pub struct AskingService(pub String);

impl FromRequestParts<App> for AskingService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let workloads = parts.extensions.get::<Workloads>().cloned().ok_or_else(Problem::internal)?;
        let workload = workloads.asking(&parts.headers).await?;
        if workload.namespace != app.config.namespace {
            return Err(Problem::forbidden("foreign-service", "only services of this platform are served"));
        }
        Ok(Self(workload.account().to_owned()))
    }
}
