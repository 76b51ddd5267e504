//! Platforms: where tenants are placed, the databases, passwords and releases they stand on, and their end.

mod end;
mod passwords;
