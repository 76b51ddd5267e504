//! What the operator and the services agree on, in one place and without any IO.
//!
//! * [`context`]: the reconciled tenant config, the JSON document in `ConfigMap tenant-<name>`.
//! * [`database`]: the names of roles, schemas and databases, and the SQL installed in each of them.
//! * [`delegation`]: how a service gets what it calls others with on a person's behalf.
//! * [`stream`]: how changed contexts reach the services.
//! * [`probe`]: how isolation is tried from within.
//! * [`runtime`]: the environment, the ports and the files that a service's container finds.

pub mod context;
pub mod database;
pub mod delegation;
pub mod probe;
pub mod runtime;
pub mod stream;
