//! What happens in a soak, decided by the seed alone: each company's acts, and the faults. Nothing here depends on time or on how
//! the cluster answers, so a seed that is given again repeats the same decisions.

use std::{collections::BTreeSet, fmt, time::Duration};

use easycode_crds::tenant::DeletionPolicy;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// The service that is written to.
pub const WRITTEN: &str = "crm";
/// Services that come and go beside it.
const OPTIONAL: [&str; 2] = ["finance", "inventory"];
/// Services whose pods are hit.
const HIT: [&str; 3] = ["crm", "tenant-service", "user-service"];
/// Programs of the control plane and the node that are killed.
pub const COMPONENTS: [&str; 6] =
    ["kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kubelet", "containerd"];
/// Stream of the seed that faults are taken from; companies have those from 0 on.
const FAULT_STREAM: u64 = u64::MAX;

/// A change that is asked for of one company.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Onboards a new company in this slot.
    Onboard,
    /// Entitles it to exactly these business services.
    Entitle(BTreeSet<&'static str>),
    /// Suspends it.
    Suspend,
    /// Ends its suspension.
    Resume,
    /// Moves it to its instance.
    MoveToInstance,
    /// Moves it back to the platform.
    MoveToPlatform,
    /// Deletes it by the policy.
    Offboard(DeletionPolicy),
}

impl Act {
    /// Its kind, by which acts are counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Onboard => "onboard",
            Self::Entitle(services) if services.contains(WRITTEN) => "change entitlements",
            Self::Entitle(_) => "withdraw CRM",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::MoveToInstance => "move to an instance",
            Self::MoveToPlatform => "move to the platform",
            Self::Offboard(DeletionPolicy::Retain) => "offboard, retain",
            Self::Offboard(DeletionPolicy::Archive) => "offboard, archive",
            Self::Offboard(DeletionPolicy::Delete) => "offboard, delete",
        }
    }
}

/// Which home a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The shared platform.
    Platform,
    /// The instance of the company that moves.
    Instance,
}

/// Something that breaks for a bounded time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The leading replica of the operator is killed.
    KillOperator,
    /// All processes of a home's Postgres are killed.
    KillPostgres(Site),
    /// A program of the cluster is killed, and started again after the time.
    KillComponent(&'static str, Duration),
    /// Database connections of the logins with the prefix are terminated.
    TerminateConnections(Site, &'static str),
    /// The pods of a service are deleted.
    DeletePod(Site, &'static str),
    /// The pods of a service are stopped for the time.
    FreezePod(Site, &'static str, Duration),
}

impl Fault {
    /// Its kind, by which faults are counted.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::KillOperator => "kill the operator".to_owned(),
            Self::KillPostgres(site) => format!("kill Postgres of the {site}"),
            Self::KillComponent(name, _) => format!("kill {name}"),
            Self::TerminateConnections(site, logins) => format!("terminate connections of {logins}* in the {site}"),
            Self::DeletePod(site, service) => format!("delete {service} of the {site}"),
            Self::FreezePod(site, service, _) => format!("freeze {service} of the {site}"),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Platform => "platform",
            Self::Instance => "instance",
        })
    }
}

/// The acts of one slot, each with the pause before it, without end. Each is valid after those before it.
pub struct Acts {
    random: StdRng,
    moves: bool,
    state: Option<State>,
}

#[derive(Clone)]
struct State {
    entitled: BTreeSet<&'static str>,
    suspended: bool,
    at_instance: bool,
}

/// The services that a company begins with.
#[must_use]
pub fn first_entitlements() -> BTreeSet<&'static str> {
    BTreeSet::from([WRITTEN])
}

impl Acts {
    /// Of a slot whose company `moves` between platform and instance, or is onboarded and offboarded on the platform.
    #[must_use]
    pub fn new(seed: u64, slot: u64, moves: bool) -> Self {
        Self { random: stream(seed, slot), moves, state: None }
    }

    fn decide(&mut self) -> Act {
        let Some(state) = &mut self.state else {
            self.state = Some(State { entitled: first_entitlements(), suspended: false, at_instance: false });
            return Act::Onboard;
        };
        let roll = self.random.random_range(0..10);
        if state.suspended && roll < 7 {
            state.suspended = false;
            return Act::Resume;
        }
        match (self.moves, roll) {
            (true, _) if !state.suspended && roll < 7 => {
                state.at_instance = !state.at_instance;
                if state.at_instance { Act::MoveToInstance } else { Act::MoveToPlatform }
            }
            (true, _) if state.suspended => {
                state.suspended = false;
                Act::Resume
            }
            (false, 0..=4) => {
                let all = std::iter::once(WRITTEN).chain(OPTIONAL);
                let wanted: BTreeSet<_> = all.filter(|_| self.random.random_bool(0.6)).collect();
                state.entitled.clone_from(&wanted);
                Act::Entitle(wanted)
            }
            (false, 7..) => {
                self.state = None;
                let policies = [DeletionPolicy::Retain, DeletionPolicy::Archive, DeletionPolicy::Delete];
                Act::Offboard(*policies.choose(&mut self.random).unwrap_or(&DeletionPolicy::Delete))
            }
            _ => {
                state.suspended = true;
                Act::Suspend
            }
        }
    }
}

impl Iterator for Acts {
    type Item = (Duration, Act);

    fn next(&mut self) -> Option<Self::Item> {
        let act = self.decide();
        let pause = Duration::from_millis(self.random.random_range(500..8_000));
        Some((pause, act))
    }
}

/// The faults, each with the pause before it, without end.
pub struct Faults(StdRng);

impl Faults {
    /// Of the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(stream(seed, FAULT_STREAM))
    }

    fn decide(&mut self) -> Fault {
        let random = &mut self.0;
        let site = if random.random_bool(0.7) { Site::Platform } else { Site::Instance };
        let away = Duration::from_millis(random.random_range(1_000..8_000));
        let service = *HIT.choose(random).unwrap_or(&WRITTEN);
        match random.random_range(0..10) {
            0 | 1 => Fault::KillOperator,
            2 => Fault::KillPostgres(site),
            3..=5 => Fault::KillComponent(COMPONENTS.choose(random).copied().unwrap_or("kubelet"), away),
            6 | 7 => {
                let logins = ["svc_", "mig_", "easycode_operator"];
                Fault::TerminateConnections(site, logins.choose(random).copied().unwrap_or("svc_"))
            }
            8 => Fault::DeletePod(site, service),
            _ => Fault::FreezePod(site, service, away),
        }
    }
}

impl Iterator for Faults {
    type Item = (Duration, Fault);

    fn next(&mut self) -> Option<Self::Item> {
        let fault = self.decide();
        let pause = Duration::from_millis(self.0.random_range(5_000..20_000));
        Some((pause, fault))
    }
}

/// A generator of its own for each slot, so that what one decides does not depend on how far another has come.
fn stream(seed: u64, number: u64) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    StdRng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_decides_the_same_and_another_decides_otherwise() {
        let acts = |seed, slot| Acts::new(seed, slot, false).take(200).collect::<Vec<_>>();
        let faults = |seed| Faults::new(seed).take(200).collect::<Vec<_>>();
        assert_eq!(acts(7, 1), acts(7, 1));
        assert_eq!(faults(7), faults(7));
        assert_ne!(acts(7, 1), acts(8, 1));
        assert_ne!(acts(7, 1), acts(7, 2));
        assert_ne!(faults(7), faults(8));
    }

    #[test]
    fn every_act_is_valid_after_those_before_it() {
        for seed in 0..50 {
            for moves in [false, true] {
                let (mut present, mut suspended, mut at_instance) = (false, false, false);
                for (_, act) in Acts::new(seed, 0, moves).take(200) {
                    assert_eq!(present, act != Act::Onboard, "{act:?}");
                    match act {
                        Act::Onboard => (present, suspended) = (true, false),
                        Act::Offboard(_) => (present, suspended) = (false, false),
                        Act::Suspend | Act::Resume => {
                            assert_eq!(suspended, act == Act::Resume);
                            suspended = !suspended;
                        }
                        Act::MoveToInstance | Act::MoveToPlatform => {
                            assert!(moves && !suspended);
                            assert_eq!(at_instance, act == Act::MoveToPlatform);
                            at_instance = !at_instance;
                        }
                        Act::Entitle(_) => assert!(!moves),
                    }
                }
            }
        }
    }

    #[test]
    fn all_kinds_of_acts_and_faults_occur_and_each_is_bounded() {
        let residents = Acts::new(1, 0, false).take(500);
        let acts: BTreeSet<_> = residents.chain(Acts::new(1, 1, true).take(100)).map(|(_, act)| act.kind()).collect();
        assert_eq!(acts.len(), 10, "{acts:?}");
        let mut kinds = BTreeSet::new();
        for (pause, fault) in Faults::new(1).take(2_000) {
            assert!(pause <= Duration::from_secs(20));
            if let Fault::KillComponent(_, away) | Fault::FreezePod(_, _, away) = &fault {
                assert!(*away <= Duration::from_secs(8));
            }
            kinds.insert(fault.kind());
        }
        assert_eq!(kinds.len(), 1 + 2 + COMPONENTS.len() + 3 * 2 + HIT.len() * 2 * 2, "{kinds:?}");
    }
}
