//! A control plane without nodes, for tests of what the operator decides and writes: a real API server, the controllers of
//! Kubernetes, the operator as a process of its own, and a [simulator] that plays the nodes.

mod chart;
pub mod control_plane;
mod environment;
mod examples;
mod pki;
mod process;
mod shared;
pub mod simulator;

pub use shared::Shared;
