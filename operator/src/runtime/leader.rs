//! Leader election by a Lease: one replica works, the others wait. Who can't renew in time must end the process.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PostParams},
};
use tracing::{info, warn};

const LEASE: &str = "easycode-operator";
const LASTS: Duration = Duration::from_secs(15);
/// Before anyone else may take the lease.
const GIVE_UP: Duration = Duration::from_secs(12);
const RENEW: Duration = Duration::from_secs(3);

/// A claim on leadership.
pub struct Leader {
    leases: Api<Lease>,
    identity: String,
}

impl Leader {
    /// A candidate of the given name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        // Two runs of one pod name (a restarted container) must not take each other for themselves.
        let identity = format!("{identity}_{:08x}", rand::random::<u32>());
        Self { leases: Api::namespaced(client, namespace), identity }
    }

    /// Waits until this replica leads.
    pub async fn acquire(&self) {
        loop {
            match self.try_acquire().await {
                Ok(true) => {
                    info!(identity = self.identity, "leading");
                    return;
                }
                Ok(false) => {}
                Err(error) => warn!(%error, "the lease could not be read or written, retrying"),
            }
            tokio::time::sleep(RENEW.mul_f64(rand::random_range(0.3..0.6))).await;
        }
    }

    /// Renews until that fails for so long that another replica may lead.
    pub async fn keep(&self) {
        let mut renewed = tokio::time::Instant::now();
        loop {
            let end = renewed + GIVE_UP;
            if tokio::time::timeout_at(end, tokio::time::sleep(RENEW)).await.is_err() {
                return;
            }
            // The time written is taken after this, so others count from later.
            let asked = tokio::time::Instant::now();
            match tokio::time::timeout_at(end.min(asked + RENEW), self.try_acquire()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => warn!(%error, "the lease was not renewed"),
                Err(_) => warn!("renewing the lease took too long"),
            }
        }
    }

    /// Gives the lease up, so that another replica need not wait for it to run out.
    pub async fn release(&self) {
        let freed = serde_json::json!({"spec": {"holderIdentity": null, "leaseDurationSeconds": 1}});
        if let Ok(Some(lease)) = self.leases.get_opt(LEASE).await
            && holder(&lease) == Some(self.identity.as_str())
            && let Err(error) = self.leases.patch(LEASE, &kube::api::PatchParams::default(), &Patch::Merge(freed)).await
        {
            warn!(%error, "the lease was not released");
        }
    }

    async fn try_acquire(&self) -> Result<bool, kube::Error> {
        let present = self.leases.get_opt(LEASE).await?;
        if let Some(lease) = &present
            && let Some(holder) = holder(lease)
            && holder != self.identity
            && !has_run_out(lease, Timestamp::now())
        {
            return Ok(false);
        }
        let now = MicroTime(Timestamp::now());
        let mut lease = present.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(i32::try_from(LASTS.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        // The resource version in the object makes the write fail if another replica was faster.
        let written = if lease.metadata.resource_version.is_some() {
            self.leases.replace(LEASE, &PostParams::default(), &lease).await
        } else {
            self.leases.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn has_run_out(lease: &Lease, now: Timestamp) -> bool {
    let Some(LeaseSpec { renew_time: Some(renewed), lease_duration_seconds: Some(lasts), .. }) = &lease.spec else {
        return true;
    };
    now.duration_since(renewed.0) > SignedDuration::from_secs(i64::from(*lasts))
}
