//! Moves with the operator killed at each phase, and with the platform's Postgres killed.

mod crash;
mod faults;

use easycode_e2e::moves::{MOVE_TIMEOUT, Mover, work};
