//! Which service asks: tokens of service accounts, issued by the cluster for this audience, checked against its keys.

use std::sync::Arc;

use anyhow::Context;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::runtime::TENANT_SERVICE_AUDIENCE;
use easycode_kit::{
    Config, Problem,
    keys::KeySource,
    token::{Rejected, Verifier},
};
use jsonwebtoken::jwk::JwkSet;
use kube::Client;
use serde::Deserialize;

/// The cluster's own keys.
struct ClusterKeys(Client);

impl KeySource for ClusterKeys {
    async fn read(&self) -> anyhow::Result<JwkSet> {
        Ok(self.0.request(http::Request::get("/openid/v1/jwks").body(Vec::new())?).await?)
    }
}

#[derive(Clone, Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Clone, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Account,
}

#[derive(Clone, Deserialize)]
struct Account {
    name: String,
}

#[derive(Deserialize)]
struct Issued {
    iss: String,
}

/// Checks the tokens of services; cheap to clone.
#[derive(Clone)]
pub struct ServiceVerifier {
    verifier: Arc<Verifier<ClusterKeys>>,
    namespace: String,
}

impl ServiceVerifier {
    /// For the services of the configured namespace.
    pub fn new(client: Client, config: &Config) -> anyhow::Result<Self> {
        // Its own token comes from the same issuer, and from the kubelet, so it need not be checked.
        let own =
            std::fs::read_to_string(&config.identity_token).context("reading the token of tenant-service itself")?;
        let payload = own.split('.').nth(1).context("the token of tenant-service itself is no JWT")?;
        let issued: Issued = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload)?)?;
        Ok(Self {
            verifier: Arc::new(Verifier::new(ClusterKeys(client), &issued.iss, TENANT_SERVICE_AUDIENCE)),
            namespace: config.namespace.clone(),
        })
    }

    /// The name of the service that the token belongs to.
    pub async fn service(&self, token: &str) -> Result<String, Problem> {
        let claims: Claims = self.verifier.verify(token).await.map_err(|rejected| match rejected {
            Rejected::Invalid(_) => Problem::unauthorized(rejected.to_string()),
            Rejected::NoKeys => Problem::unavailable(rejected.to_string()),
        })?;
        if claims.kubernetes.namespace != self.namespace {
            return Err(Problem::forbidden("foreign-service", "only services of this platform are served"));
        }
        Ok(claims.kubernetes.serviceaccount.name)
    }
}
