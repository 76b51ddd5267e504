//! The contract of conditions: their types, their reasons, and how `Ready` follows from the others.
//!
//! A condition is `True` only when that was observed; `Unknown` before. `Ready`, and those named for a good state, are
//! well when `True`; `Progressing` and `Degraded` are well when `False`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// In use as its spec asks for: everything else is well.
pub const READY: &str = "Ready";
/// The operator is changing something, or waits for something it started.
pub const PROGRESSING: &str = "Progressing";
/// Something is wrong that does not mend by waiting, or that has lasted.
pub const DEGRADED: &str = "Degraded";
/// Tenant: a platform with room in the right region was found, or its instance.
pub const PLACED: &str = "Placed";
/// Tenant: entitlements name only services and modules of the platform's release.
pub const ENTITLEMENTS_VALID: &str = "EntitlementsValid";
/// Tenant: role, schemas and grants are as planned; platform, instance: the database answers and is set up.
pub const DATABASE_READY: &str = "DatabaseReady";
/// Tenant: the context is published for the services.
pub const CONFIG_PUBLISHED: &str = "ConfigPublished";
/// Platform, instance: every service's migrations for the release have run.
pub const MIGRATED: &str = "Migrated";
/// Platform, instance, and tenant on an instance: every workload runs as planned.
pub const SERVICES_AVAILABLE: &str = "ServicesAvailable";
/// Platform, instance: this operator would render a workload differently and waits for the next release, a window of
/// maintenance or a request.
pub const UPDATE_PENDING: &str = "UpdatePending";
/// Tenant, platform, instance: it was tried whether others can be reached from it or it from others, and they can't.
pub const ISOLATION_VERIFIED: &str = "IsolationVerified";
/// Instance: its tenant exists and names it.
pub const TENANT_BOUND: &str = "TenantBound";
/// Instance: its pods fit on nodes of its region.
pub const SCHEDULED: &str = "Scheduled";

/// Reasons, one list for all resources. `docs/runbook.md` says what to do about each.
pub mod reason {
    /// All is as planned.
    pub const AS_PLANNED: &str = "AsPlanned";
    /// The tenant is suspended by its spec.
    pub const SUSPENDED: &str = "Suspended";
    /// Provisioning is under way.
    pub const PROVISIONING: &str = "Provisioning";
    /// Deletion is under way.
    pub const DELETING: &str = "Deleting";
    /// No platform fits the region, or each that does is full.
    pub const NO_CAPACITY: &str = "NoCapacity";
    /// No platform serves the region.
    pub const NO_PLATFORM_IN_REGION: &str = "NoPlatformInRegion";
    /// The named platform does not exist.
    pub const PLATFORM_NOT_FOUND: &str = "PlatformNotFound";
    /// The platform is not ready yet.
    pub const PLATFORM_NOT_READY: &str = "PlatformNotReady";
    /// An entitlement, or what is peculiar to an instance, names a service that the release lacks.
    pub const UNKNOWN_SERVICE: &str = "UnknownService";
    /// An entitlement names a module that the service lacks.
    pub const UNKNOWN_MODULE: &str = "UnknownModule";
    /// The named instance does not exist.
    pub const INSTANCE_NOT_FOUND: &str = "InstanceNotFound";
    /// Data of a deleted tenant of the same name is kept.
    pub const RETAINED_DATA: &str = "RetainedData";
    /// A schema that was there is gone, and not by the operator's doing.
    pub const DATA_MISSING: &str = "DataMissing";
    /// Postgres refused or did not answer.
    pub const DATABASE_UNAVAILABLE: &str = "DatabaseUnavailable";
    /// Postgres has no room to write.
    pub const VOLUME_FULL: &str = "VolumeFull";
    /// The API server refused an object.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// The named release does not exist.
    pub const RELEASE_NOT_FOUND: &str = "ReleaseNotFound";
    /// A referenced Secret is missing or lacks a key.
    pub const SECRET_INVALID: &str = "SecretInvalid";
    /// Migrations run.
    pub const MIGRATING: &str = "Migrating";
    /// A migration job failed.
    pub const MIGRATION_FAILED: &str = "MigrationFailed";
    /// Workloads are rolling out.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// A rollout made no progress for its deadline.
    pub const ROLLOUT_STUCK: &str = "RolloutStuck";
    /// This operator renders a workload differently than the one that applied it.
    pub const OPERATOR_CHANGED: &str = "OperatorChanged";
    /// The custom resource definition itself is being deleted.
    pub const CRD_DELETING: &str = "DefinitionDeleting";
    /// The last dump of a tenant could not be archived.
    pub const ARCHIVE_FAILED: &str = "ArchiveFailed";
    /// Tenants still use it.
    pub const IN_USE: &str = "InUse";
    /// The tenant that the instance is for does not exist.
    pub const TENANT_NOT_FOUND: &str = "TenantNotFound";
    /// Tenant and instance don't name each other.
    pub const TENANT_MISMATCH: &str = "TenantMismatch";
    /// The instance is not ready yet.
    pub const INSTANCE_NOT_READY: &str = "InstanceNotReady";
    /// No node of the region admits the instance's pods.
    pub const NO_NODE_IN_REGION: &str = "NoNodeInRegion";
    /// No node has room for a pod.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// A definition of another project, such as CloudNativePG or the Gateway API, is not installed.
    pub const DEFINITION_MISSING: &str = "DefinitionMissing";
    /// A change waits for a window of maintenance.
    pub const AWAITING_WINDOW: &str = "AwaitingWindow";
    /// No time ever matches the schedule of a window of maintenance.
    pub const WINDOW_NEVER_OPENS: &str = "WindowNeverOpens";
    /// The namespace's quota does not admit a pod.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// A node can't get an image.
    pub const IMAGE_UNAVAILABLE: &str = "ImageUnavailable";
    /// The tenant moves to the other deployment model.
    pub const MOVING: &str = "Moving";
    /// The move stopped; the tenant is served where it was.
    pub const MOVE_FAILED: &str = "MoveFailed";
    /// Something was reached that must not be.
    pub const ISOLATION_BREACHED: &str = "IsolationBreached";
    /// The cluster enforces no network policies, so of the network nothing can be said.
    pub const NETWORK_NOT_ENFORCED: &str = "NetworkNotEnforced";
    /// A network policy that is not the operator's lets more through than is planned.
    pub const OPENED_BY_POLICY: &str = "OpenedByPolicy";
    /// Pods have no names resolved.
    pub const NAMES_NOT_RESOLVED: &str = "NamesNotResolved";
    /// Not everything that a probe of isolation is to try could be tried, or not lately, or not here.
    pub const PROBE_INCOMPLETE: &str = "ProbeIncomplete";
    /// Credentials are being renewed.
    pub const ROTATING: &str = "Rotating";
}

/// What a controller says of one condition; the time is added when it is merged into a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type.
    pub type_: &'static str,
    /// `Some(true)` and `Some(false)` were observed; `None` is unknown.
    pub status: Option<bool>,
    /// One of [`reason`].
    pub reason: &'static str,
    /// A sentence a person can act on.
    pub message: String,
}

impl Finding {
    /// A finding of the given status.
    pub fn new(type_: &'static str, status: Option<bool>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status, reason, message: message.into() }
    }
}

/// Replaces the conditions named in `findings`, keeps the others, of which whoever knows that they hold no longer must say so or
/// leave them out of `before`, and moves a transition time only where the status
/// changed. Order is that of `findings`, so equal findings give equal lists.
#[must_use]
pub fn merge(before: &[Condition], findings: &[Finding], generation: Option<i64>, now: &Time) -> Vec<Condition> {
    let mut merged: Vec<Condition> = findings
        .iter()
        .map(|finding| {
            let status = match finding.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let since = before
                .iter()
                .find(|condition| condition.type_ == finding.type_ && condition.status == status)
                .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
            Condition {
                type_: finding.type_.to_owned(),
                status: status.to_owned(),
                reason: finding.reason.to_owned(),
                message: finding.message.clone(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect();
    merged.extend(before.iter().filter(|old| !findings.iter().any(|new| new.type_ == old.type_)).cloned());
    merged
}
