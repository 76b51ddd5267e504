//! Why a reconcile did not reach its end, and whether trying again helps.

use easycode_crds::conditions::reason;

use crate::postgres;

/// A fault outside: it is retried with backoff. Mistakes of the user are no errors but findings in the status, which
/// wait for a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("the API server refused or did not answer: {0}")]
    Kubernetes(#[from] kube::Error),
    /// Postgres refused or did not answer.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
}

impl Error {
    /// The condition reason of the fault.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) => reason::APPLY_FAILED,
            Self::Postgres(error) => error.reason(),
        }
    }
}
