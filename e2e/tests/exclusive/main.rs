//! Tests that measure, break what others stand on, or need the cluster to themselves.

mod crash;
mod drift;
mod faults;
mod isolation;
mod moves;
mod neighbours;
mod serving;
mod tls;
mod upgrade;
