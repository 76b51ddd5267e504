//! Attacks on the isolation of tenants: with tokens, through the API's fields, in the database, from in the cluster.

mod cluster;
mod database;
mod network;
mod pods;

use easycode_e2e::isolation::{DENIED, refused};
