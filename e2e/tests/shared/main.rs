//! Tests that work with companies of their own on the examples' platform, and leave it as it is.

mod business;
mod console;
mod deletion;
mod isolation;
mod serving;
mod settings;
mod users;
