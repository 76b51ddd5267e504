//! Tenants that move between the shared platform and an instance of their own, with their data, while their people work: forth
//! and back, given up half-way, and with the new home's Postgres killed.

mod cancel;
mod catching_up;
mod faults;
mod there_and_back;

use easycode_e2e::moves::{Mover, spec, work};
