//! Tests that kill the operator, break what all tenants of the examples' platform stand on, or measure that nothing happens: one
//! after the other.

mod audit;
mod crash;
mod definition;
mod drift;
mod leadership;
mod rest;
