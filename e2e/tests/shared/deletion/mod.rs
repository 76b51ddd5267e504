//! Deletion by policy.

mod archive;
mod policies;

use easycode_e2e::deletion::{erased, rows, told_of_data, uid, warned};
