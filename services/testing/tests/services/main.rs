//! What services do by themselves and with others, over HTTP, on a real Postgres.

mod business;
mod crm;
mod isolation;
mod pages;
mod serving;
mod settings;
mod users;
