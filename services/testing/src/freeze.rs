//! Services that answer nobody for a while, as the processes of a machine that hangs.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

/// Holds the requests to one service while that is frozen; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<RwLock<()>>);

/// A service that is frozen until this is dropped. Requests that came meanwhile then go on, but for those whose clients have given up.
#[must_use]
pub struct Frozen {
    _closed: OwnedRwLockWriteGuard<()>,
}

impl Gate {
    /// Freezes the service.
    pub(crate) async fn close(&self) -> Frozen {
        Frozen { _closed: Arc::clone(&self.0).write_owned().await }
    }

    /// The routes behind the gate.
    pub(crate) fn guard(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    drop(gate.0.read().await);
    next.run(request).await
}
