//! What every controller needs of Kubernetes: planned objects, their labels, the watches and caches of what lives, and applying.

pub mod apply;
pub mod cache;
pub mod definition;
pub mod finalizer;
pub mod job;
pub mod labels;
pub mod object;
pub mod status;
pub mod watch;

/// Field manager of everything the operator writes.
pub const FIELD_MANAGER: &str = "easycode-operator";
