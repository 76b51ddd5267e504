//! Attacks on the isolation of tenants that others would notice, and the operator's own probes.

mod intruder;
mod probes;
