//! Deletion by policy.

mod archive;

use easycode_e2e::deletion::{erased, uid};
