//! Tests that measure, break what others stand on, or need the cluster to themselves.

mod crash;
mod deletion;
mod drift;
mod faults;
mod frozen_inventory;
mod isolation;
mod leadership;
mod moves;
mod neighbours;
mod rest;
mod serving;
mod tls;
mod upgrade;
