//! The homes that a tenant left: their copies are erased when their time is over, or with the tenant. The tenant depends on none of
//! them any more: one that is gone or full is looked at again later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, TenantStatus,
    conditions::reason,
    tenant::{DeletionPolicy, FormerHome},
};
use jiff::Timestamp;
use kube::ResourceExt;
use tracing::warn;

use super::{act::thaw, plan};
use crate::{
    postgres::{Database, database::in_time},
    runtime::{context::Context, error::Error},
    stack::home::Home,
    tenant::{
        erasure::{Erasure, Why},
        status,
    },
};

/// For how long nobody can write to a home that was left: a transaction that began before the move can take no longer.
const SEALED: Duration = Duration::from_mins(5);
/// Longest time that opening a copy may take: a server that is gone without a word never says so.
const LONGEST: Duration = Duration::from_secs(10);
/// Time until a home that could not be seen to is looked at again.
const AGAIN: Duration = Duration::from_secs(30);

/// Uid of a tenant, a home that it left, and until when the copy there is kept, which no two stays have in common.
type Copy = (String, Home, String);

/// The copies that this process has opened, so that none is asked for at each reconcile.
#[derive(Default)]
pub struct Opened(Mutex<HashSet<Copy>>);

impl Opened {
    fn lock(&self) -> MutexGuard<'_, HashSet<Copy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to the homes that a tenant which lives at `home`, and is to live there, has left: opens copies, and erases those whose time
/// is over. Returns when to look again. Nothing that fails there is the tenant's failure.
pub async fn tend(tenant: &Tenant, home: &Home, context: &Context) -> Option<Duration> {
    let role = Identifier::tenant(&tenant.name_any()).ok()?;
    // As it was just reported, which the cache may not show yet.
    let status = context.unseen.status_of(tenant).filter(|status| !status.former_homes.is_empty())?;
    let former_homes = status.former_homes.clone();
    let mut tenant = Tenant { status: Some(status), ..tenant.clone() };
    let mut next_look = None;
    for former in former_homes {
        let look = match see_to(&tenant, home, &former, &role, context).await {
            Ok(Seen::Keeps(look)) => Some(look),
            Ok(Seen::Forgotten(status)) => {
                tenant.status = Some(*status);
                None
            }
            Err(error) => {
                let there = plan::former(&former);
                warn!(tenant = tenant.name_any(), home = %there, %error, "a home that was left can't be seen to, retrying");
                Some(AGAIN)
            }
        };
        next_look = next_look.into_iter().chain(look).min();
    }
    next_look
}

/// What came of a look at a home that was left.
enum Seen {
    /// It keeps a copy; when to look again.
    Keeps(Duration),
    /// Its copy is erased; the tenant's status is now this.
    Forgotten(Box<TenantStatus>),
}

async fn see_to(
    tenant: &Tenant,
    home: &Home,
    former: &FormerHome,
    role: &Identifier,
    context: &Context,
) -> Result<Seen, Error> {
    let there = plan::former(former);
    let database = context.databases.answering(&there);
    let until = former.retained_until.parse::<Timestamp>().unwrap_or(Timestamp::MAX);
    let copy = (tenant.uid().unwrap_or_default(), there.clone(), former.retained_until.clone());
    match Duration::try_from(until.duration_since(Timestamp::now())) {
        Ok(left) if !left.is_zero() => {
            let left = left.clamp(Duration::from_secs(1), Duration::from_hours(1));
            if there == *home || context.opened.lock().contains(&copy) {
                return Ok(Seen::Keeps(left));
            }
            if let Some(sealed) = tenant.status.as_ref().and_then(|status| sealed(status, &there, Timestamp::now())) {
                return Ok(Seen::Keeps(left.min(sealed)));
            }
            let Some(database) = database else { return Ok(Seen::Keeps(left.min(AGAIN))) };
            open(&database, role).await?;
            context.opened.lock().insert(copy);
            Ok(Seen::Keeps(left))
        }
        _ if erase(tenant, home, former, role, database, context).await? => {
            context.opened.lock().remove(&copy);
            Ok(Seen::Forgotten(Box::new(forget(tenant, former, context).await?)))
        }
        _ => Ok(Seen::Keeps(AGAIN)),
    }
}

/// For how long nobody may write to the copy yet, as whoever began to work there before the move may not have ended.
fn sealed(status: &TenantStatus, there: &Home, now: Timestamp) -> Option<Duration> {
    let relocation = status.relocation.as_ref().filter(|relocation| plan::home(&relocation.from) == *there)?;
    let left = relocation.cut_over_at.as_deref()?.parse::<Timestamp>().ok()?;
    let passed = Duration::try_from(now.duration_since(left)).ok()?;
    SEALED.checked_sub(passed).filter(|left| !left.is_zero())
}

/// Lets migrations write to a copy again.
async fn open(database: &Database, role: &Identifier) -> Result<(), Error> {
    in_time(LONGEST, thaw(database, role)).await
}

/// Erases all copies with the tenant, unless its data is to be kept. Returns what it waits for.
pub async fn end(tenant: &Tenant, home: &Home, role: &Identifier, context: &Context) -> Result<Option<String>, Error> {
    if tenant.spec.deletion_policy == DeletionPolicy::Retain {
        return Ok(None);
    }
    for former in tenant.status.iter().flat_map(|status| &status.former_homes) {
        let there = plan::former(former);
        let database = context.databases.get(&there);
        if !erase(tenant, home, former, role, database, context).await? {
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
    database: Option<Arc<Database>>,
    context: &Context,
) -> Result<bool, Error> {
    let there = plan::former(former);
    if !context.exists(&there) {
        let note = format!("{there} does not exist any more; if its database does, a copy of the data is still there");
        context.events.warning(tenant, "Move", reason::RETAINED_DATA, note).await;
        return Ok(true);
    }
    let Some(database) = database else { return Ok(false) };
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

#[cfg(test)]
mod tests {
    use easycode_crds::tenant::Relocation;

    use super::*;

    #[test]
    fn a_home_is_sealed_for_a_while_after_it_was_left() {
        let home = Home::Platform("eu1".to_owned());
        let relocation = Relocation {
            from: plan::reference(&home),
            cut_over_at: Some("2026-11-27T00:00:00Z".to_owned()),
            ..Relocation::default()
        };
        let status = TenantStatus { relocation: Some(relocation), ..TenantStatus::default() };
        let at = |time: &str, there: &Home| sealed(&status, there, time.parse().unwrap());
        assert_eq!(at("2026-11-27T00:01:00Z", &home), Some(Duration::from_mins(4)));
        assert_eq!(at("2026-11-27T00:05:00Z", &home), None);
        assert_eq!(at("2026-11-27T00:01:00Z", &Home::Platform("eu2".to_owned())), None, "it was left earlier");
        assert_eq!(sealed(&TenantStatus::default(), &home, Timestamp::now()), None);
    }
}
