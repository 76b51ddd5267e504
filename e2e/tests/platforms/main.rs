//! Platforms: where tenants are placed, the databases and releases they stand on, and their end.

mod database;
mod end;
mod placement;
mod release;
