//! Requests to others.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Time that a connection to another may rest before it is given up: less than a service's listener allows, so that no request is sent
/// on one that is just being closed.
const POOL_IDLE_TIME: Duration = Duration::from_mins(1);

/// A client with the usual settings.
///
/// # Panics
/// Never: the settings are complete.
#[must_use]
pub fn client() -> reqwest::Client {
    builder().build().expect("the settings are complete")
}

/// The beginning of a client that trusts the public certificate authorities, since images have no list of their own.
///
/// # Panics
/// Never: the provider of cryptography has the default versions of TLS.
pub fn builder() -> reqwest::ClientBuilder {
    trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// The beginning of a client that trusts the certificate authorities given.
pub(crate) fn trusting(roots: RootCertStore) -> reqwest::ClientBuilder {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).pool_idle_timeout(POOL_IDLE_TIME)
}

/// Why an answer was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It broke off.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
    /// It is too long.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// The body of an answer, unless it is longer than that.
pub async fn bounded(mut answer: reqwest::Response, longest: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > longest {
            return Err(Unread::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn https_is_spoken() {
        // Nobody listens there; without TLS the refusal would be of the scheme.
        let error = super::client().get("https://127.0.0.1:1/").send().await.unwrap_err();
        assert!(format!("{error:?}").contains("ConnectionRefused"), "{error:?}");
    }
}
