//! Tests that bring up an instance or a platform of their own.

mod audit;
mod instances;
mod mission;
mod moves;
mod platforms;
mod probes;
mod rotation;
