//! What runs beside the controllers: options, leadership, the context they share, events, metrics and probes.

pub mod backoff;
pub mod context;
pub mod error;
pub mod events;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod options;
pub mod requests;
pub mod server;
