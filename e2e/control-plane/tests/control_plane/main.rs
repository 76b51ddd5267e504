//! Tests on the control plane that a run shares: `make test-control-plane`.

mod homes;
