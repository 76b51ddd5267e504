//! The homes that a tenant left: their copies are erased when their time is over, or with the tenant.

use std::time::Duration;

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, TenantStatus,
    conditions::reason,
    tenant::{DeletionPolicy, FormerHome},
};
use jiff::Timestamp;

use super::{Turn, act::thaw, plan};
use crate::{
    runtime::{context::Context, error::Error},
    stack::home::Home,
    tenant::{
        erasure::{Erasure, Why},
        status,
    },
};

/// For how long nobody can write to a home that was left: a transaction that began before the move can take no longer.
const SEALED: Duration = Duration::from_mins(5);

/// Erases copies whose time is over.
pub async fn tend(tenant: &Tenant, home: &Home, role: &Identifier, context: &Context) -> Result<Turn, Error> {
    let mut next_look = None;
    for former in tenant.status.iter().flat_map(|status| &status.former_homes) {
        let until = former.retained_until.parse::<Timestamp>().unwrap_or(Timestamp::MAX);
        match Duration::try_from(until.duration_since(Timestamp::now())) {
            Ok(left) if !left.is_zero() => {
                let left = left.clamp(Duration::from_secs(1), Duration::from_hours(1));
                let sealed = open(tenant, home, former, role, context).await?;
                next_look = next_look.into_iter().chain([left]).chain(sealed).min();
            }
            _ if erase(tenant, home, former, role, context).await? => {
                return Ok(Turn::Taken(Box::new(forget(tenant, former, context).await?)));
            }
            _ => next_look = Some(Duration::from_secs(10)),
        }
    }
    Ok(Turn::Rests { finding: None, next_look, status: None })
}

/// Lets migrations write to a copy again, once whoever began to work there before the move has ended. Returns when that will be.
async fn open(
    tenant: &Tenant,
    home: &Home,
    former: &FormerHome,
    role: &Identifier,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let there = plan::former(former);
    let Some(database) = context.databases.get(&there).filter(|_| there != *home) else { return Ok(None) };
    let left = tenant
        .status
        .as_ref()
        .and_then(|status| status.relocation.as_ref())
        .filter(|move_| plan::home(&move_.from) == there);
    let left = left.and_then(|move_| move_.cut_over_at.as_deref()?.parse::<Timestamp>().ok());
    let passed = left.and_then(|left| Duration::try_from(Timestamp::now().duration_since(left)).ok());
    let left = passed.and_then(|passed| SEALED.checked_sub(passed)).filter(|left| !left.is_zero());
    if left.is_none() {
        thaw(&database, role).await?;
    }
    Ok(left)
}

/// Erases all copies with the tenant, unless its data is to be kept. Returns what it waits for.
pub async fn end(tenant: &Tenant, home: &Home, role: &Identifier, context: &Context) -> Result<Option<String>, Error> {
    if tenant.spec.deletion_policy == DeletionPolicy::Retain {
        return Ok(None);
    }
    for former in tenant.status.iter().flat_map(|status| &status.former_homes) {
        if !erase(tenant, home, former, role, context).await? {
            let there = plan::former(former);
            return Ok(Some(format!("the Postgres of {there}, which still has a copy of its data, is not connected")));
        }
    }
    Ok(None)
}

/// Erases one copy, if it is this tenant's and not in use. Returns whether that is done with.
async fn erase(
    tenant: &Tenant,
    home: &Home,
    former: &FormerHome,
    role: &Identifier,
    context: &Context,
) -> Result<bool, Error> {
    let there = plan::former(former);
    if !context.exists(&there) {
        let note = format!("{there} does not exist any more; if its database does, a copy of the data is still there");
        context.events.warning(tenant, "Move", reason::RETAINED_DATA, note).await;
        return Ok(true);
    }
    let Some(database) = context.databases.get(&there) else { return Ok(false) };
    let data = database.tenant(role);
    if there != *home && data.uid == tenant.metadata.uid && data.retained.is_some() {
        let why = Why::Moved(former.retained_until.clone());
        Erasure { tenant, home: &there, role, database: &database, context, why }.run(&data).await?;
    }
    Ok(true)
}

async fn forget(tenant: &Tenant, former: &FormerHome, context: &Context) -> Result<TenantStatus, Error> {
    let mut after = tenant.status.clone().unwrap_or_default();
    after.former_homes.retain(|one| one != former);
    status::write(tenant, &after, context).await?;
    Ok(after)
}
