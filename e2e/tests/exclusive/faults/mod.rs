//! Faults of what the product stands on: Postgres, its own services, the cluster's components. While they last nothing wrong
//! is answered and what can be served is; after them everything comes back without help.

mod control_plane;
mod network;
mod postgres;
mod services;
