//! Pure: what a move does next, and what each turn of it makes of the status. No IO, no clock but the one passed in.

use std::time::Duration;

use easycode_crds::{
    TenantStatus,
    tenant::{FormerHome, HomeRef, MovePhase, Relocation},
};
use jiff::Timestamp;

use crate::{stack::home::Home, tenant::placement::Unplaced};

/// Time until a move that failed is tried again, unless the spec changes.
const RETRY: Duration = Duration::from_hours(1);
/// The same, if it failed while nothing could be written: that is not done to the tenant again and again.
const RETRY_PAUSE: Duration = Duration::from_hours(24);

/// Time until a move that failed is tried again, unless the spec changes.
#[must_use]
pub fn retry(relocation: &Relocation) -> Duration {
    if relocation.frozen_at.is_some() { RETRY_PAUSE } else { RETRY }
}

/// What a move does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The tenant is where it should be.
    Rest,
    /// It should be elsewhere, and there is no such place.
    Nowhere(Unplaced),
    /// A move failed, and is not tried again yet.
    Failed(Duration),
    /// A move begins.
    Begin(Home),
    /// The work of the present phase is to be done.
    Act(MovePhase),
    /// Another phase follows at once.
    Turn {
        /// Which.
        phase: MovePhase,
        /// What went wrong, if something did.
        failure: Option<String>,
    },
}

/// Whether a move is under way.
#[must_use]
pub fn is_active(phase: MovePhase) -> bool {
    !matches!(phase, MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed)
}

/// Whether nothing may be written in this phase where the tenant lives.
#[must_use]
pub fn freezes(phase: MovePhase) -> bool {
    matches!(phase, MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying | MovePhase::Cancelling)
}

/// Whether the home that a move goes to can't go, too: the tenant may yet come to live there, or a copy is to be taken away, if its
/// Postgres answers. Before that, nothing was made there; after it, the tenant lives there.
#[must_use]
pub fn holds_target(phase: MovePhase, answers: bool) -> bool {
    match phase {
        MovePhase::Copying | MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying => true,
        MovePhase::Cancelling | MovePhase::Clearing => answers,
        MovePhase::Preparing | MovePhase::CuttingOver | MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed => {
            false
        }
    }
}

/// The phase by which a move is undone: writes are let in again first, if they were stopped.
#[must_use]
pub fn undoing(phase: MovePhase) -> MovePhase {
    if freezes(phase) { MovePhase::Cancelling } else { MovePhase::Clearing }
}

/// The next thing to do for a tenant that lives at `home` and is to live at `wanted`.
#[must_use]
pub fn course(
    home: &Home,
    wanted: Result<&Home, &Unplaced>,
    relocation: Option<&Relocation>,
    generation: Option<i64>,
    now: Timestamp,
) -> Course {
    let begin = || match wanted {
        Ok(wanted) if wanted == home => Course::Rest,
        Ok(wanted) => Course::Begin(wanted.clone()),
        Err(why) => Course::Nowhere(why.clone()),
    };
    let Some(relocation) = relocation else { return begin() };
    let goes_on = wanted.is_ok_and(|wanted| self::home(&relocation.to) == *wanted);
    match relocation.phase {
        MovePhase::Failed if wanted.is_ok_and(|wanted| wanted == home) => {
            Course::Turn { phase: MovePhase::Cancelled, failure: None }
        }
        MovePhase::Failed if relocation.generation == generation && goes_on => {
            let since = relocation.phase_since.as_deref().and_then(|since| since.parse::<Timestamp>().ok());
            let passed = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
            match passed.and_then(|passed| retry(relocation).checked_sub(passed)).filter(|left| !left.is_zero()) {
                Some(left) => Course::Failed(left),
                None => begin(),
            }
        }
        MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed => begin(),
        // Nothing was done yet.
        MovePhase::Preparing if !goes_on => match wanted {
            Ok(wanted) if wanted != home => Course::Begin(wanted.clone()),
            Ok(_) => Course::Turn { phase: MovePhase::Cancelled, failure: None },
            Err(why) => Course::Nowhere(why.clone()),
        },
        phase @ (MovePhase::Copying | MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying)
            if !goes_on =>
        {
            Course::Turn { phase: undoing(phase), failure: wanted.err().map(|why| why.message.clone()) }
        }
        // Once the tenant lives in the other home, or the move is being undone, that is finished first.
        phase => Course::Act(phase),
    }
}

/// The phase that follows when the work of one is done.
#[must_use]
pub fn following(relocation: &Relocation) -> MovePhase {
    match relocation.phase {
        MovePhase::Preparing => MovePhase::Copying,
        MovePhase::Copying => MovePhase::Freezing,
        MovePhase::Freezing => MovePhase::CatchingUp,
        MovePhase::CatchingUp => MovePhase::Verifying,
        MovePhase::Verifying => MovePhase::CuttingOver,
        MovePhase::Cancelling => MovePhase::Clearing,
        MovePhase::Clearing if relocation.failure.is_some() => MovePhase::Failed,
        MovePhase::Clearing => MovePhase::Cancelled,
        MovePhase::CuttingOver => MovePhase::Done,
        phase @ (MovePhase::Done | MovePhase::Cancelled | MovePhase::Failed) => phase,
    }
}

/// The status in which a move has begun.
#[must_use]
pub fn begun(status: &TenantStatus, home: &Home, to: &Home, generation: Option<i64>, now: Timestamp) -> TenantStatus {
    let relocation = Relocation {
        from: reference(home),
        to: reference(to),
        generation,
        phase_since: Some(now.to_string()),
        started_at: Some(now.to_string()),
        ..Relocation::default()
    };
    TenantStatus { relocation: Some(relocation), ..status.clone() }
}

/// The status in which a phase has begun. That of the cut-over is the one write by which the tenant's home changes.
#[must_use]
pub fn turned(status: &TenantStatus, phase: MovePhase, retention: Duration, now: Timestamp) -> TenantStatus {
    let mut after = status.clone();
    let Some(relocation) = &mut after.relocation else { return after };
    relocation.phase = phase;
    relocation.phase_since = Some(now.to_string());
    relocation.message = None;
    match phase {
        MovePhase::Freezing => relocation.frozen_at = Some(now.to_string()),
        // What was kept there of an earlier time is overwritten.
        MovePhase::Copying => {
            let to = self::home(&relocation.to);
            after.former_homes.retain(|one| former(one) != to);
        }
        MovePhase::CuttingOver => {
            relocation.cut_over_at = Some(now.to_string());
            let (from, to) = (relocation.from.clone(), home(&relocation.to));
            (after.platform, after.instance) = match to {
                Home::Platform(name) => (Some(name), None),
                Home::Instance(name) => (None, Some(name)),
            };
            let until = jiff::SignedDuration::try_from(retention).unwrap_or(jiff::SignedDuration::MAX);
            let until = now.saturating_add(until).unwrap_or(Timestamp::MAX);
            let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
            after.former_homes.retain(|one| former(one) != self::home(&from));
            after.former_homes.push(FormerHome { kind: from.kind, name: from.name, retained_until: until.to_string() });
        }
        _ => {}
    }
    after
}

/// A home, as a status names it.
#[must_use]
pub fn reference(home: &Home) -> HomeRef {
    HomeRef { kind: home.kind().to_owned(), name: home.name().to_owned() }
}

/// The home that a status names.
#[must_use]
pub fn home(reference: &HomeRef) -> Home {
    of_kind(&reference.kind, &reference.name)
}

/// The former home that a status names.
#[must_use]
pub fn former(former: &FormerHome) -> Home {
    of_kind(&former.kind, &former.name)
}

fn of_kind(kind: &str, name: &str) -> Home {
    if kind == "DedicatedInstance" { Home::Instance(name.to_owned()) } else { Home::Platform(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const DAY: Duration = Duration::from_hours(24);

    fn shared() -> Home {
        Home::Platform("eu1".to_owned())
    }

    fn own() -> Home {
        Home::Instance("acme".to_owned())
    }

    fn lives(status: &TenantStatus) -> Home {
        let instance = status.instance.clone().map(Home::Instance);
        instance.or_else(|| status.platform.clone().map(Home::Platform)).unwrap()
    }

    fn at_home() -> TenantStatus {
        TenantStatus { platform: Some("eu1".to_owned()), ..TenantStatus::default() }
    }

    fn in_phase(phase: MovePhase) -> TenantStatus {
        let mut status = begun(&at_home(), &shared(), &own(), Some(1), NOW);
        status.relocation.as_mut().unwrap().phase = phase;
        status
    }

    fn next(status: &TenantStatus, wanted: &Home, now: Timestamp) -> Course {
        course(&lives(status), Ok(wanted), status.relocation.as_ref(), Some(1), now)
    }

    #[test]
    fn a_move_that_is_not_wanted_any_more_is_undone_as_far_as_it_came() {
        let turn = |phase| Course::Turn { phase, failure: None };
        assert_eq!(next(&in_phase(MovePhase::Preparing), &shared(), NOW), turn(MovePhase::Cancelled));
        assert_eq!(
            next(&in_phase(MovePhase::Copying), &shared(), NOW),
            turn(MovePhase::Clearing),
            "nothing is stopped yet"
        );
        for frozen in [MovePhase::Freezing, MovePhase::CatchingUp, MovePhase::Verifying] {
            assert_eq!(next(&in_phase(frozen), &shared(), NOW), turn(MovePhase::Cancelling));
            assert_eq!(next(&in_phase(frozen), &own(), NOW), Course::Act(frozen));
        }
        let over = turned(&in_phase(MovePhase::Verifying), MovePhase::CuttingOver, DAY, NOW);
        assert_eq!(
            next(&over, &shared(), NOW),
            Course::Act(MovePhase::CuttingOver),
            "it is finished, and then moves back"
        );
        let done = turned(&over, MovePhase::Done, DAY, NOW);
        assert_eq!(next(&done, &shared(), NOW), Course::Begin(shared()));
        assert_eq!(next(&done, &own(), NOW), Course::Rest);
    }

    #[test]
    fn a_home_that_is_gone_ends_a_move_with_the_reason() {
        let why = Unplaced { reason: "InstanceNotFound", message: "it is gone".to_owned() };
        let status = in_phase(MovePhase::Copying);
        let course = course(&shared(), Err(&why), status.relocation.as_ref(), Some(1), NOW);
        assert_eq!(course, Course::Turn { phase: MovePhase::Clearing, failure: Some("it is gone".to_owned()) });
    }

    /// Its move ends, whatever the phase, in one that does not hold the home.
    #[test]
    fn a_home_that_is_being_deleted_is_held_until_the_move_is_given_up() {
        let why = Unplaced { reason: "InstanceNotFound", message: "it is being deleted".to_owned() };
        let mut status = in_phase(MovePhase::Verifying);
        let mut phases = Vec::new();
        while holds_target(status.relocation.as_ref().unwrap().phase, true) {
            let next = match course(&shared(), Err(&why), status.relocation.as_ref(), Some(1), NOW) {
                Course::Turn { phase, failure } => {
                    status.relocation.as_mut().unwrap().failure = failure;
                    phase
                }
                _ => following(status.relocation.as_ref().unwrap()),
            };
            status = turned(&status, next, DAY, NOW);
            phases.push(next);
        }
        assert_eq!(phases, [MovePhase::Cancelling, MovePhase::Clearing, MovePhase::Failed]);
        assert!(!holds_target(MovePhase::Clearing, false), "nothing can be taken away there");
        assert!(!holds_target(MovePhase::Preparing, true), "it is not given up, but nothing was begun");
        let waits = course(&shared(), Err(&why), in_phase(MovePhase::Preparing).relocation.as_ref(), Some(1), NOW);
        assert_eq!(waits, Course::Nowhere(why));
    }

    #[test]
    fn a_failed_move_waits_for_another_spec_or_an_hour() {
        let failed = turned(&in_phase(MovePhase::Clearing), MovePhase::Failed, DAY, NOW);
        let later = |seconds| NOW + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(next(&failed, &own(), later(60)), Course::Failed(Duration::from_mins(59)));
        assert_eq!(next(&failed, &own(), later(3_600)), Course::Begin(own()));
        let mut paused = failed.clone();
        paused.relocation.as_mut().unwrap().frozen_at = Some(NOW.to_string());
        assert_eq!(next(&paused, &own(), later(3_600)), Course::Failed(Duration::from_hours(23)));
        let changed = course(&shared(), Ok(&own()), failed.relocation.as_ref(), Some(2), later(60));
        assert_eq!(changed, Course::Begin(own()));
        assert_eq!(next(&failed, &shared(), NOW), Course::Turn { phase: MovePhase::Cancelled, failure: None });
    }

    #[test]
    fn what_is_left_is_kept_and_what_is_overwritten_is_not() {
        let over = turned(&in_phase(MovePhase::Verifying), MovePhase::CuttingOver, DAY, NOW);
        assert_eq!((over.platform.as_deref(), over.instance.as_deref()), (None, Some("acme")));
        let kept = FormerHome {
            kind: "SharedPlatform".to_owned(),
            name: "eu1".to_owned(),
            retained_until: "1970-01-02T00:00:00Z".to_owned(),
        };
        assert_eq!(over.former_homes, [kept]);
        let back = begun(&turned(&over, MovePhase::Done, DAY, NOW), &own(), &shared(), Some(2), NOW);
        assert_eq!(back.former_homes.len(), 1, "nothing is touched yet");
        assert_eq!(turned(&back, MovePhase::Copying, DAY, NOW).former_homes, []);
    }

    /// What a test sees of the two homes.
    struct World {
        status: TenantStatus,
        wanted: Home,
        /// The published contexts; whether they let nobody write.
        published: BTreeMap<Home, bool>,
        /// Homes whose database refuses writes.
        fenced: BTreeSet<Home>,
        rows: BTreeMap<Home, BTreeSet<u32>>,
        acknowledged: BTreeSet<u32>,
    }

    #[derive(Clone, Debug)]
    enum Event {
        Want(bool),
        Write,
        /// The operator takes its next step: it may fail, and may die before it has written what follows.
        Step {
            fails: bool,
            dies: bool,
        },
    }

    impl World {
        fn writable(&self) -> Vec<Home> {
            let open =
                |(home, read_only): (&Home, &bool)| (!read_only && !self.fenced.contains(home)).then(|| home.clone());
            self.published.iter().filter_map(open).collect()
        }

        fn step(&mut self, fails: bool, dies: bool) {
            let home = lives(&self.status);
            let frozen = self.status.relocation.as_ref().is_some_and(|relocation| freezes(relocation.phase));
            self.published.insert(home.clone(), frozen);
            let turn = |world: &mut Self, phase| world.status = turned(&world.status, phase, DAY, NOW);
            match course(&home, Ok(&self.wanted), self.status.relocation.as_ref(), Some(1), NOW + RETRY_PAUSE) {
                Course::Begin(to) => self.status = begun(&self.status, &home, &to, Some(1), NOW),
                Course::Turn { phase, .. } => turn(self, phase),
                Course::Act(phase) => {
                    let relocation = self.status.relocation.clone().unwrap();
                    let (from, to) = (super::home(&relocation.from), super::home(&relocation.to));
                    let may_fail = matches!(
                        phase,
                        MovePhase::Copying | MovePhase::Freezing | MovePhase::CatchingUp | MovePhase::Verifying
                    );
                    if fails && may_fail {
                        return turn(self, undoing(phase));
                    }
                    match phase {
                        MovePhase::Freezing => drop(self.fenced.insert(from)),
                        MovePhase::Copying | MovePhase::CatchingUp => {
                            drop(self.rows.insert(to, self.rows[&from].clone()));
                        }
                        MovePhase::CuttingOver => {
                            self.published.remove(&from);
                            self.fenced.remove(&from);
                        }
                        MovePhase::Cancelling => drop(self.fenced.remove(&from)),
                        MovePhase::Clearing => drop(self.rows.remove(&to)),
                        _ => {}
                    }
                    if !dies {
                        turn(self, following(&relocation));
                    }
                }
                Course::Rest | Course::Nowhere(_) | Course::Failed(_) => {}
            }
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            1 => any::<bool>().prop_map(Event::Want),
            3 => Just(Event::Write),
            6 => (prop::bool::weighted(0.1), prop::bool::weighted(0.3)).prop_map(|(fails, dies)| Event::Step { fails, dies }),
        ];
        proptest::collection::vec(event, 0..120)
    }

    proptest! {
        #[test]
        fn whatever_happens_one_home_serves_and_no_acknowledged_write_is_lost(events in events()) {
            let mut world = World {
                status: at_home(), wanted: shared(), published: [(shared(), false)].into(), fenced: BTreeSet::new(),
                rows: [(shared(), BTreeSet::new())].into(), acknowledged: BTreeSet::new(),
            };
            for (id, event) in (0..).zip(events) {
                match event {
                    Event::Want(dedicated) => world.wanted = if dedicated { own() } else { shared() },
                    Event::Write => for home in world.writable() {
                        world.rows.get_mut(&home).unwrap().insert(id);
                        world.acknowledged.insert(id);
                    },
                    Event::Step { fails, dies } => world.step(fails, dies),
                }
                prop_assert!(world.writable().len() <= 1, "{:?} can be written to in {:?}", world.writable(), world.status);
                prop_assert!(!world.published.is_empty(), "nobody can read in {:?}", world.status);
                prop_assert_eq!(&world.rows[&lives(&world.status)], &world.acknowledged);
            }
            // Left alone, it comes to rest where it is wanted.
            for _ in 0..30 {
                world.step(false, false);
            }
            prop_assert_eq!(lives(&world.status), world.wanted.clone());
            prop_assert_eq!(world.writable(), vec![world.wanted]);
        }
    }
}
