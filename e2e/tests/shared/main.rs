//! Tests that work with companies of their own on the examples' platform, and leave it as it is.

mod console;
mod deletion;
mod isolation;
mod users;
