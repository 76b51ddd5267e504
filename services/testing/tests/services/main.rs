//! What a service does by itself and with others, over HTTP, on a real Postgres.

mod crm;
mod pages;
mod users;
