//! A real Postgres server for each test: its data folder is a copy of a prepared one, which costs a fraction of a second.
//!
//! A server of its own lets each test count connections, take logins away, or kill the server, and no test sees another's roles, which
//! Postgres shares between databases. Servers listen on loopback alone and end with the test's process.

mod folders;
mod installation;
mod server;

pub use server::{Login, PostgresServer};
