//! Deletion by policy.

mod archive;

use easycode_e2e::deletion::{erased, rows, told_of_data, uid, warned};
