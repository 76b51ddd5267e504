//! Credentials of a Postgres that the operator runs: encrypted on the way, and renewed while requests are served.

mod rotation;
mod tls;
