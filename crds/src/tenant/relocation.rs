//! What is observed of a tenant's move from one home to another, and of the homes that it left.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A `SharedPlatform` or a `DedicatedInstance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HomeRef {
    /// `SharedPlatform` or `DedicatedInstance`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// How far a move is. Each is written before anything of it is done, so that a crash leaves no step unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MovePhase {
    /// Waits until the other home can take the tenant. The tenant is served as ever.
    #[default]
    Preparing,
    /// The data is being copied, while the tenant works on.
    Copying,
    /// Writes are being stopped. From here on the tenant's data can be read only.
    Freezing,
    /// What was written since the copy began is being copied again.
    CatchingUp,
    /// Both copies are being compared.
    Verifying,
    /// The tenant lives in the other home; the one that it left is being closed.
    CuttingOver,
    /// The move ends without a cut-over: writes are being let in again.
    Cancelling,
    /// The tenant is served where it was; what the move made is being removed.
    Clearing,
    /// The move was made.
    Done,
    /// The move was given up by the spec.
    Cancelled,
    /// The move could not be made; the message says why.
    Failed,
}

/// A move, the one under way or the last one. Fields without a value are written as null, so that a merge patch takes them away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Relocation {
    /// The home that the tenant leaves.
    pub from: HomeRef,
    /// The home that it moves to.
    pub to: HomeRef,
    /// How far it is.
    pub phase: MovePhase,
    /// Since when it is in that phase (RFC 3339).
    pub phase_since: Option<String>,
    /// What it waits for, or what came of it.
    pub message: Option<String>,
    /// Why it is ended without a cut-over, if not by the spec.
    pub failure: Option<String>,
    /// Generation of the spec that asked for it.
    pub generation: Option<i64>,
    /// When it began (RFC 3339).
    pub started_at: Option<String>,
    /// When writes were stopped (RFC 3339).
    pub frozen_at: Option<String>,
    /// When the tenant's home changed (RFC 3339).
    pub cut_over_at: Option<String>,
    /// For how long nothing could be written, in milliseconds.
    pub write_downtime_ms: Option<i64>,
    /// Services whose data moves.
    #[schemars(length(max = 64))]
    pub services: Vec<String>,
    /// Oldest transaction of the old home's Postgres that the copy may have missed (its `xid8`); what was written from it on is
    /// copied again when writes are stopped.
    #[schemars(length(max = 20))]
    pub copied_until: Option<String>,
    /// Rows that were copied again.
    pub rows_caught_up: Option<i64>,
    /// Tables whose rows and checksums were compared.
    pub tables: Option<i32>,
    /// Rows in them.
    pub rows: Option<i64>,
}

/// A home that the tenant left, with its data as it was then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FormerHome {
    /// `SharedPlatform` or `DedicatedInstance`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// When the data there is erased (RFC 3339).
    pub retained_until: String,
}
