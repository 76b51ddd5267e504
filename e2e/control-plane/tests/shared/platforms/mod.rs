//! Platforms: where tenants are placed, the databases, passwords and releases they stand on, and their end.

mod database;
mod end;
mod placement;
mod release;

use easycode_e2e::mending::{crm_is_mended, crm_of, says};
