//! Serves HTTP within limits. Every program of the project accepts its connections here, so that no listener lacks a limit.
//!
//! A client that sends nothing, half a head or a slow body, or that does not read its answer, is disconnected in time
//! ([`Limits`]). When a listener is full, or one peer has its share of it, the connection that has waited longest for a request
//! makes room for the new one: half-sent requests displace each other and never a request that is being served.
//! An answer without an end, such as a stream of events, counts as being served for as long as its client reads it.

mod body;
mod io;
mod limits;
mod serve;
mod table;

pub use limits::Limits;
pub use serve::serve;
