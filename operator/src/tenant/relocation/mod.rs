//! The move of a tenant from the home it lives in to the one that its spec asks for, with its data: prepare → copy → freeze →
//! catch up → verify → cut over.
//!
//! Each phase is written to the status before anything of it is done, and all that is done may be done again, so that whoever
//! leads next goes on from the status alone. `plan` decides, and is pure; `act` does. Until the cut-over, which is one write of
//! the status, the tenant lives in its old home, and all can be undone; from then on it lives in the new one, and what it left
//! is closed, kept for its retention, and erased (`former`).

mod act;
mod check;
mod former;
mod job;
mod plan;
mod words;

use std::time::Duration;

use easycode_contract::database::Identifier;
use easycode_crds::{
    Tenant, TenantStatus,
    conditions::{self, Finding, reason},
    tenant::{MovePhase, Relocation},
};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use tokio::time::timeout;
use tracing::warn;

pub use self::{
    act::drop_stale_logins,
    former::{Opened, tend},
};
use self::{
    act::{Outcome, Work},
    plan::Course,
};
use super::{
    placement::{Offer, placed_on},
    status,
};
use crate::{
    runtime::{context::Context, error::Error},
    stack::home::Home,
};

/// For how long nothing may be written before a move is given up, faults included, where the tenant's spec says nothing.
const PATIENCE: Duration = Duration::from_mins(5);
/// Longer than any work: a copy may take as long as its job may.
const ENDLESS: Duration = Duration::from_hours(24);
/// Time between two looks while nothing can be written.
const CLOSE_LOOK: Duration = Duration::from_millis(500);
/// Time between two looks otherwise.
const LOOK: Duration = Duration::from_secs(5);

/// What came of a look at a tenant's move.
pub enum Turn {
    /// The tenant is where it is to be; what is left to do is in the homes that it left, see [`tend`].
    Home,
    /// Another phase has begun; the tenant's status is now this.
    Taken(Box<TenantStatus>),
    /// Nothing more can be done now.
    Rests {
        /// What is to be said of where the tenant lives, if not the usual.
        finding: Option<Finding>,
        /// When to look again, if sooner than usual.
        next_look: Option<Duration>,
        /// The tenant's status, if it was written.
        status: Option<Box<TenantStatus>>,
    },
}

impl Turn {
    fn rests(next_look: Duration, finding: Finding) -> Self {
        Self::Rests { finding: Some(finding), next_look: Some(next_look), status: None }
    }
}

/// Whether the tenant's data may not be written to where it lives.
#[must_use]
pub fn is_frozen(tenant: &Tenant) -> bool {
    relocation(tenant).is_some_and(|relocation| plan::freezes(relocation.phase))
}

/// Where the tenant is on its way to.
#[must_use]
pub fn destined_for(tenant: &Tenant) -> Option<Home> {
    let relocation = relocation(tenant).filter(|relocation| plan::is_active(relocation.phase))?;
    Some(plan::home(&relocation.to)).filter(|to| placed_on(tenant).as_ref() != Some(to))
}

/// Why a home that is to be deleted has to wait for a move to it, as a sentence. One under way is given up by itself, see
/// `Placement::destination`.
#[must_use]
pub fn holds(home: &Home, context: &Context) -> Option<String> {
    let answers = context.databases.answering(home).is_some();
    let comes = |tenant: &Tenant| {
        let phase = relocation(tenant).map(|relocation| relocation.phase);
        destined_for(tenant).as_ref() == Some(home) && phase.is_some_and(|phase| plan::holds_target(phase, answers))
    };
    let tenants = context.tenants.state_filter(comes);
    let name = tenants.first()?.name_any();
    Some(format!("the move of Tenant {name} to it is being given up; it is deleted once that is done"))
}

/// The homes that the tenant left, and that keep a copy.
#[must_use]
pub fn former_homes(tenant: &Tenant) -> Vec<Home> {
    tenant.status.iter().flat_map(|status| status.former_homes.iter().map(plan::former)).collect()
}

fn relocation(tenant: &Tenant) -> Option<&Relocation> {
    tenant.status.as_ref()?.relocation.as_ref()
}

/// Takes the next step of a move, if there is one to be made. `settled` says whether the home that the tenant lives in is as
/// planned.
pub async fn advance(tenant: &Tenant, home: &Home, settled: bool, context: &Context) -> Result<Turn, Error> {
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else {
        return Ok(Turn::Rests { finding: None, next_look: None, status: None });
    };
    let status = &tenant.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let wanted = destination(tenant, home, context);
    let placed = |reason, message: String| Finding::new(conditions::PLACED, Some(false), reason, message);
    match plan::course(home, wanted.as_ref(), relocation(tenant), tenant.metadata.generation, now) {
        Course::Rest => Ok(Turn::Home),
        Course::Nowhere(why) => {
            let message = format!("{}; until then it is served on {home}", why.message);
            Ok(Turn::rests(LOOK, placed(why.reason, message)))
        }
        Course::Failed(left) => {
            let why = relocation(tenant).and_then(|relocation| relocation.message.clone()).unwrap_or_default();
            Ok(Turn::rests(left.min(Duration::from_mins(10)), placed(reason::MOVE_FAILED, why)))
        }
        Course::Begin(to) => {
            let after = plan::begun(status, home, &to, tenant.metadata.generation, now);
            status::write(tenant, &after, context).await?;
            let note = format!("it is to move from {home} to {to}");
            context.events.normal(tenant, "Move", reason::MOVING, note).await;
            Ok(Turn::Taken(Box::new(after)))
        }
        Course::Turn { phase, failure } => turn(tenant, status, phase, failure, context).await,
        Course::Act(phase) => {
            let mut relocation = relocation(tenant).cloned().unwrap_or_default();
            let (from, to) = (plan::home(&relocation.from), plan::home(&relocation.to));
            let work = Work { tenant, role, from, to, settled, context };
            let left = patience(&relocation, longest_pause(tenant), now);
            // Every phase can be taken up again, so it can be broken off, too.
            let outcome =
                match timeout(left.map_or(ENDLESS, |left| left.max(LOOK)), Box::pin(work.act(&mut relocation))).await {
                    Err(_) => Outcome::Failed(format!("{phase:?} took longer than nothing may be written for")),
                    Ok(Err(error)) if left.is_none_or(|left| !left.is_zero()) => {
                        warn!(tenant = tenant.name_any(), ?phase, %error, "a move met a fault, retrying");
                        Outcome::Waits(error.to_string())
                    }
                    Ok(Err(error)) => Outcome::Failed(error.to_string()),
                    Ok(Ok(Outcome::Waits(why))) if left.is_some_and(|left| left.is_zero()) => Outcome::Failed(why),
                    Ok(Ok(outcome)) => outcome,
                };
            let mut after = TenantStatus { relocation: Some(relocation), ..status.clone() };
            match outcome {
                Outcome::Done => {
                    let next = after.relocation.as_ref().map_or(MovePhase::Done, plan::following);
                    turn(tenant, &after, next, None, context).await
                }
                Outcome::Failed(why) => turn(tenant, &after, plan::undoing(phase), Some(why), context).await,
                Outcome::Waits(why) => {
                    let Some(relocation) = &mut after.relocation else { unreachable!("it was just put there") };
                    let message = told(relocation, &why);
                    relocation.message = Some(why);
                    status::write(tenant, &after, context).await?;
                    let waits_long = matches!(phase, MovePhase::Preparing | MovePhase::Clearing);
                    Ok(Turn::Rests {
                        finding: Some(placed(reason::MOVING, message)),
                        next_look: Some(if waits_long { LOOK } else { CLOSE_LOOK }),
                        status: Some(Box::new(after)),
                    })
                }
            }
        }
    }
}

/// For how long nothing may be written.
fn longest_pause(tenant: &Tenant) -> Duration {
    tenant.spec.deployment.longest_pause.map_or(PATIENCE, easycode_crds::scalars::Duration::get)
}

/// For how long yet work may take and faults are borne, rather than the move given up: not for ever while nothing can be written.
/// What stops nobody, or has to be finished, is tried for ever.
fn patience(relocation: &Relocation, longest: Duration, now: Timestamp) -> Option<Duration> {
    let given_up = matches!(relocation.phase, MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying);
    let since = relocation.frozen_at.as_deref().and_then(|since| since.parse::<Timestamp>().ok());
    let passed = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    given_up.then(|| longest.saturating_sub(passed.unwrap_or_default()))
}

/// How far a move is, as a sentence.
fn told(relocation: &Relocation, why: &str) -> String {
    let (from, to) = (plan::home(&relocation.from), plan::home(&relocation.to));
    let what = match relocation.phase {
        MovePhase::Preparing => format!("it is to move from {from} to {to}"),
        MovePhase::Copying => format!("its data is being copied from {from} to {to}, while it works on"),
        MovePhase::Freezing => format!("its move from {from} to {to} stops writes"),
        MovePhase::CatchingUp => format!("what was written meanwhile is being copied from {from} to {to}"),
        MovePhase::Verifying => format!("its data on {from} and {to} is being compared"),
        MovePhase::CuttingOver => format!("it lives on {to} now, and {from} is being closed"),
        MovePhase::Cancelling => format!("its move from {from} to {to} is being undone, writes first"),
        MovePhase::Clearing => format!("its move to {to} is being undone; it is served on {from}"),
        MovePhase::Done => format!("it has moved from {from} to {to}"),
        MovePhase::Cancelled => format!("its move to {to} was given up; it is served on {from}"),
        MovePhase::Failed => format!("its move to {to} failed; it is served on {from}"),
    };
    if why.is_empty() { what } else { format!("{what}: {why}") }
}

/// Begins a phase: writes it, and tells of it.
async fn turn(
    tenant: &Tenant,
    status: &TenantStatus,
    phase: MovePhase,
    failure: Option<String>,
    context: &Context,
) -> Result<Turn, Error> {
    let now = Timestamp::now();
    let mut after = plan::turned(status, phase, tenant.spec.retention.get(), now);
    let Some(relocation) = &mut after.relocation else { unreachable!("only a move has phases") };
    if failure.is_some() {
        relocation.failure = failure;
    }
    let said = match phase {
        MovePhase::Done => summary(relocation, now),
        MovePhase::Failed => format!(
            "{}; mend that and it is tried again within {} h, or at once after a change of the spec; or set deployment back",
            relocation.failure.as_deref().unwrap_or_default(),
            plan::retry(relocation).as_secs() / 3_600
        ),
        _ => String::new(),
    };
    let message = told(relocation, &said);
    if !plan::is_active(phase) {
        relocation.message = Some(message.clone());
        context.metrics.moved(&format!("{phase:?}"), relocation.write_downtime_ms);
    }
    if phase == MovePhase::CuttingOver {
        // The one write that can't be taken back: nobody may have changed the spec meanwhile.
        let live = Api::<Tenant>::all(context.client.clone()).get(&tenant.name_any()).await?;
        if live.metadata.generation != tenant.metadata.generation || live.metadata.deletion_timestamp.is_some() {
            return Ok(Turn::Rests { finding: None, next_look: Some(CLOSE_LOOK), status: None });
        }
        status::write_to(tenant, &after, live.resource_version(), context).await?;
    } else {
        status::write(tenant, &after, context).await?;
    }
    let what = match phase {
        MovePhase::Done => "Moved",
        MovePhase::Cancelled => "MoveCancelled",
        MovePhase::Failed => reason::MOVE_FAILED,
        _ => reason::MOVING,
    };
    if phase == MovePhase::Failed {
        context.events.warning(tenant, "Move", what, message).await;
    } else {
        context.events.normal(tenant, "Move", what, message).await;
    }
    Ok(Turn::Taken(Box::new(after)))
}

/// What a move took, and what was compared.
fn summary(relocation: &Relocation, now: Timestamp) -> String {
    let started = relocation.started_at.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let took = started.map(|started| now.duration_since(started).as_secs()).unwrap_or_default();
    let downtime = relocation.write_downtime_ms.unwrap_or_default();
    format!(
        "in {took} s, with {} tables and {} rows equal on both sides; nothing could be written for {}.{} s",
        relocation.tables.unwrap_or_default(),
        relocation.rows.unwrap_or_default(),
        downtime / 1_000,
        downtime % 1_000 / 100
    )
}

/// Where the tenant is to live, by its spec.
fn destination(tenant: &Tenant, home: &Home, context: &Context) -> Result<Home, super::placement::Unplaced> {
    let (platforms, instances) = (context.platforms.state(), context.instances.state());
    let offer = Offer { platforms: &platforms, instances: &instances, holders: &[] };
    let tenants = context.tenants.state();
    let before = destined_for(tenant);
    context.placement.destination(tenant, home, before.as_ref(), tenants.iter().map(AsRef::as_ref), &offer)
}

/// Before a deletion: undoes a move under way, or finishes it once it is cut over; then erases what is kept in former homes,
/// unless the policy is to keep data. Returns what it waits for.
pub async fn settle(tenant: &Tenant, home: &Home, context: &Context) -> Result<Option<String>, Error> {
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else { return Ok(None) };
    let mut tenant = tenant.clone();
    while let (Some(status), Some(relocation)) =
        (tenant.status.clone(), relocation(&tenant).filter(|relocation| plan::is_active(relocation.phase)).cloned())
    {
        let (from, to) = (plan::home(&relocation.from), plan::home(&relocation.to));
        let work = Work { tenant: &tenant, role: role.clone(), from, to, settled: true, context };
        let mut worked = relocation.clone();
        let (outcome, next) = match relocation.phase {
            MovePhase::Preparing => (Outcome::Done, MovePhase::Cancelled),
            phase @ (MovePhase::Copying | MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying) => {
                (Outcome::Done, plan::undoing(phase))
            }
            MovePhase::CuttingOver => (work.leave(&relocation).await?, MovePhase::Done),
            _ => (Box::pin(work.act(&mut worked)).await?, plan::following(&relocation)),
        };
        if let Outcome::Waits(why) | Outcome::Failed(why) = outcome {
            return Ok(Some(told(&relocation, &why)));
        }
        if let Turn::Taken(after) = turn(&tenant, &status, next, None, context).await? {
            tenant.status = Some(*after);
        }
    }
    former::end(&tenant, home, &role, context).await
}
