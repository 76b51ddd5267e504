//! Tests that bring up an instance or a platform of their own.

mod audit;
mod credentials;
mod instances;
mod isolation;
mod mission;
mod moves;
mod platforms;
