//! Tests on the control plane that a run shares: `make test-control-plane`.

mod audit;
mod deletion;
mod drift;
mod entitlements;
mod homes;
mod instances;
mod platforms;
mod suspension;
mod validation;
