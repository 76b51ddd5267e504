//! The stream by which tenant-service keeps services up to date: one JSON document a line.

use serde::{Deserialize, Serialize};

use crate::context::TenantContext;

/// Path of the list of contexts; one context is below it.
pub const CONTEXTS_PATH: &str = "/internal/v1/contexts";
/// Path of the stream.
pub const STREAM_PATH: &str = "/internal/v1/contexts/stream";
/// Time between two signs of life. A context counts as fresh for [`FRESH_MILLIS`] after the last one.
pub const HEARTBEAT_MILLIS: u64 = 250;
/// A service never acts on a context for longer than this without a sign of life.
pub const FRESH_MILLIS: u64 = 1_000;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum ContextEvent {
    /// A tenant's context, new or changed.
    Context {
        /// The document.
        context: Box<TenantContext>,
    },
    /// Every context was sent once: a tenant that was not among them is gone.
    Synced,
    /// A tenant is gone.
    Removed {
        /// Its name.
        tenant: String,
    },
    /// Nothing has changed.
    Heartbeat,
}
