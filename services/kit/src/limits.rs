//! A tenant's limits against noisy neighbours: requests a second, and database connections at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use easycode_contract::context::TenantContext;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Problem;

/// Longest wait for one of the tenant's connections.
const PATIENCE: Duration = Duration::from_secs(2);

struct Tenant {
    tokens: f64,
    refilled: Instant,
    connections: (u32, Arc<Semaphore>),
}

/// The limits of all tenants on this replica.
#[derive(Default)]
pub struct Limits(Mutex<HashMap<String, Tenant>>);

impl Limits {
    /// Counts a request, or refuses it.
    pub fn request(&self, context: &TenantContext, now: Instant) -> Result<(), Problem> {
        let rate = f64::from(context.limits.requests_per_second);
        self.with(context, now, |tenant| {
            let refill = now.saturating_duration_since(tenant.refilled).as_secs_f64() * rate;
            tenant.tokens = (tenant.tokens + refill).min(rate.max(1.0));
            tenant.refilled = now;
            if tenant.tokens < 1.0 {
                return Err(Problem::too_many());
            }
            tenant.tokens -= 1.0;
            Ok(())
        })
    }

    /// Waits for one of the tenant's connections.
    pub async fn connection(&self, context: &TenantContext) -> Result<OwnedSemaphorePermit, Problem> {
        let semaphore = self.with(context, Instant::now(), |tenant| {
            if tenant.connections.0 != context.limits.connections {
                tenant.connections = connections(context);
            }
            Arc::clone(&tenant.connections.1)
        });
        match tokio::time::timeout(PATIENCE, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::unavailable("the tenant's connections are all in use; send fewer requests at once")),
        }
    }

    fn with<T>(&self, context: &TenantContext, now: Instant, act: impl FnOnce(&mut Tenant) -> T) -> T {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.entry(key(context)).or_insert_with(|| Tenant {
            tokens: f64::from(context.limits.requests_per_second),
            refilled: now,
            connections: connections(context),
        });
        act(tenant)
    }
}

/// A tenant that has the name of one before has used up nothing yet.
fn key(context: &TenantContext) -> String {
    format!("{}/{}", context.tenant, context.uid)
}

fn connections(context: &TenantContext) -> (u32, Arc<Semaphore>) {
    let most = context.limits.connections;
    (most, Arc::new(Semaphore::new(most.max(1) as usize)))
}
