//! Tests on the control plane that a run shares: `make test-control-plane`.

mod deletion;
mod entitlements;
mod homes;
mod instances;
mod moves;
mod platforms;
mod rights;
mod suspension;
mod validation;
