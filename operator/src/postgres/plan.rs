//! Pure: from what a tenant has in the database and what it should have to the steps between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use easycode_contract::database::Identifier;
use jiff::Timestamp;

use super::{statements, survey::TenantData};

/// What a tenant should have in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Role and schema.
    pub role: Identifier,
    /// Uid of the `Tenant`.
    pub uid: String,
    /// The company's name.
    pub display_name: String,
    /// Services that may act as the tenant now, with the version their schema must have at least.
    pub entitled: BTreeMap<String, i32>,
    /// Services that the spec names but the release lacks. Nobody may act as the tenant there, yet nothing was withdrawn.
    pub kept: BTreeSet<String>,
    /// Whether services may act as the tenant at all (not so while it is suspended or deleted).
    pub open: bool,
    /// Until when the data of a service that is withdrawn now is kept.
    pub retain_until: Timestamp,
}

/// One step; `Display` tells it to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the role.
    CreateRole,
    /// Note whose data the role's is.
    Register {
        /// Uid of the `Tenant`.
        uid: String,
        /// The company's name.
        display_name: String,
    },
    /// Let a login act as the tenant.
    Grant {
        /// The login.
        login: String,
    },
    /// Stop a login from acting as the tenant.
    Revoke {
        /// The login.
        login: String,
    },
    /// Note until when the data of a withdrawn service is kept.
    Withdraw {
        /// The service.
        service: String,
        /// Until when.
        until: Timestamp,
    },
    /// The service is entitled again.
    EndWithdrawal {
        /// The service.
        service: String,
    },
    /// Make the schema in the service's database and migrate it.
    Provision {
        /// The service.
        service: String,
    },
    /// Erase the schema in the service's database.
    Erase {
        /// The service.
        service: String,
    },
    /// Keep the data of a deleted tenant.
    Retain,
    /// Forget a tenant that has no data any more.
    Forget,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRole => write!(f, "create the tenant's role"),
            Self::Register { .. } => write!(f, "register the tenant"),
            Self::Grant { login } => write!(f, "let {login} act as the tenant"),
            Self::Revoke { login } => write!(f, "stop {login} from acting as the tenant"),
            Self::Withdraw { service, until } => write!(f, "keep the data of {service} until {until}"),
            Self::EndWithdrawal { service } => write!(f, "end the withdrawal of {service}"),
            Self::Provision { service } => write!(f, "create and migrate the schema in {service}"),
            Self::Erase { service } => write!(f, "erase the schema in {service}"),
            Self::Retain => write!(f, "keep the data for undelete"),
            Self::Forget => write!(f, "drop the tenant's role"),
        }
    }
}

impl Step {
    /// The statement for the operator's own database; none for the steps within a service's database.
    #[must_use]
    pub fn statement(&self, role: &Identifier) -> Option<String> {
        let login = |name: &str| login_identifier(name);
        Some(match self {
            Self::CreateRole => statements::create_tenant(role),
            Self::Register { uid, display_name } => statements::register(role, uid, display_name),
            Self::Grant { login: name } => statements::grant(role, &login(name)?),
            Self::Revoke { login: name } => statements::revoke(role, &login(name)?),
            Self::Withdraw { service, until } => statements::withdraw(role, service, &until.to_string()),
            Self::EndWithdrawal { service } => statements::end_withdrawal(role, service),
            Self::Retain => statements::retain(role),
            Self::Provision { .. } | Self::Erase { .. } | Self::Forget => return None,
        })
    }

    /// Whether the step takes access away, so that the services should hear of it first.
    #[must_use]
    pub fn closes_access(&self) -> bool {
        matches!(self, Self::Revoke { .. } | Self::Erase { .. } | Self::Forget)
    }
}

/// Whether requests are served by the login. A service's second one acts for the first, and is never granted anything itself.
fn serves(login: &str) -> bool {
    login.starts_with("svc_") || login.starts_with("svc2_")
}

fn login_identifier(name: &str) -> Option<Identifier> {
    let parse = |service: &str, make: fn(&str) -> Result<Identifier, _>| make(&service.replace('_', "-")).ok();
    name.strip_prefix("svc_")
        .and_then(|service| parse(service, Identifier::service_login))
        .or_else(|| name.strip_prefix("svc2_").and_then(|service| parse(service, Identifier::second_service_login)))
        .or_else(|| name.strip_prefix("mig_").and_then(|service| parse(service, Identifier::migration_login)))
}

fn logins(
    services: impl Iterator<Item = impl AsRef<str>>,
    make: fn(&str) -> Result<Identifier, easycode_contract::database::InvalidName>,
) -> BTreeSet<String> {
    services.filter_map(|service| make(service.as_ref()).ok()).map(|login| login.as_str().to_owned()).collect()
}

/// The steps from what is to what should be; none if nothing differs.
#[must_use]
pub fn plan(desired: &Desired, present: &TenantData, now: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    let entitled = || desired.entitled.keys();
    let mut members = logins(entitled().chain(present.schemas.keys()), Identifier::migration_login);
    if desired.open {
        members.extend(logins(entitled(), Identifier::service_login));
    }

    steps.extend(present.members.difference(&members).map(|login| Step::Revoke { login: login.clone() }));
    if !present.role_exists {
        steps.push(Step::CreateRole);
    }
    let registered = present.uid.as_ref() == Some(&desired.uid)
        && present.display_name.as_ref() == Some(&desired.display_name)
        && present.retained.is_none();
    if !registered {
        steps.push(Step::Register { uid: desired.uid.clone(), display_name: desired.display_name.clone() });
    }
    steps.extend(members.difference(&present.members).map(|login| Step::Grant { login: login.clone() }));

    for (service, version) in &desired.entitled {
        if present.schemas.get(service).is_none_or(|present| present < version) {
            steps.push(Step::Provision { service: service.clone() });
        }
        if present.withdrawn.contains_key(service) {
            steps.push(Step::EndWithdrawal { service: service.clone() });
        }
    }
    for service in present.schemas.keys().filter(|service| !desired.entitled.contains_key(*service)) {
        if desired.kept.contains(service) {
            if present.withdrawn.contains_key(service) {
                steps.push(Step::EndWithdrawal { service: service.clone() });
            }
            continue;
        }
        match present.withdrawn.get(service) {
            Some(until) if *until <= now => steps.push(Step::Erase { service: service.clone() }),
            Some(_) => {}
            None => steps.push(Step::Withdraw { service: service.clone(), until: desired.retain_until }),
        }
    }
    // Only once the data is seen to be gone: noted before, a crash would begin the retention anew.
    let erased =
        |service: &&String| !present.schemas.contains_key(*service) && !desired.entitled.contains_key(*service);
    steps.extend(
        present.withdrawn.keys().filter(erased).map(|service| Step::EndWithdrawal { service: service.clone() }),
    );
    steps
}

/// The steps that close a deleted tenant's access and keep its data.
#[must_use]
pub fn retain(present: &TenantData) -> Vec<Step> {
    let mut steps: Vec<_> = present
        .members
        .iter()
        .filter(|login| serves(login))
        .map(|login| Step::Revoke { login: login.clone() })
        .collect();
    if present.uid.is_some() && present.retained.is_none() {
        steps.push(Step::Retain);
    }
    steps
}

/// The steps that close access and erase all of a tenant's data.
#[must_use]
pub fn erase(present: &TenantData) -> Vec<Step> {
    let mut steps: Vec<_> = present
        .members
        .iter()
        .filter(|login| serves(login))
        .map(|login| Step::Revoke { login: login.clone() })
        .collect();
    let services = || present.schemas.keys().chain(&present.lost);
    let missing = logins(services(), Identifier::migration_login);
    steps.extend(missing.difference(&present.members).map(|login| Step::Grant { login: login.clone() }));
    steps.extend(services().map(|service| Step::Erase { service: service.clone() }));
    steps
}

/// The step that drops the role and the entry of a tenant whose data is erased.
#[must_use]
pub fn forget(present: &TenantData) -> Vec<Step> {
    if present.role_exists || present.uid.is_some() { vec![Step::Forget] } else { Vec::new() }
}

/// What the database holds after the steps, given that each schema is migrated to the published version.
#[must_use]
pub fn outcome(present: &TenantData, steps: &[Step], published: &BTreeMap<String, i32>, now: Timestamp) -> TenantData {
    let mut after = present.clone();
    for step in steps {
        match step {
            Step::CreateRole => after.role_exists = true,
            Step::Register { uid, display_name } => {
                after.uid = Some(uid.clone());
                after.display_name = Some(display_name.clone());
                after.retained = None;
            }
            Step::Grant { login } => {
                after.members.insert(login.clone());
            }
            Step::Revoke { login } => {
                after.members.remove(login);
            }
            Step::Withdraw { service, until } => {
                after.withdrawn.insert(service.clone(), *until);
            }
            Step::EndWithdrawal { service } => {
                after.withdrawn.remove(service);
            }
            Step::Provision { service } => {
                after.lost.remove(service);
                after.schemas.insert(service.clone(), published.get(service).copied().unwrap_or_default());
            }
            Step::Erase { service } => {
                after.schemas.remove(service);
                after.lost.remove(service);
            }
            Step::Retain => after.retained = Some(now),
            Step::Forget => after = TenantData::default(),
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn desired(services: &[&str], open: bool) -> Desired {
        Desired {
            role: Identifier::tenant("acme").unwrap(),
            uid: "u1".into(),
            display_name: "Acme".into(),
            entitled: services.iter().map(|service| ((*service).to_owned(), 1)).collect(),
            open,
            kept: BTreeSet::new(),
            retain_until: Timestamp::from_second(100).unwrap(),
        }
    }

    fn published() -> BTreeMap<String, i32> {
        ["crm", "finance", "pos"].map(|service| (service.to_owned(), 1)).into()
    }

    #[test]
    fn a_withdrawn_service_loses_access_at_once_and_data_after_its_retention() {
        let before = outcome(
            &TenantData::default(),
            &plan(&desired(&["crm", "pos"], true), &TenantData::default(), NOW),
            &published(),
            NOW,
        );
        let steps = plan(&desired(&["crm"], true), &before, NOW);
        let until = Timestamp::from_second(100).unwrap();
        assert_eq!(steps, [Step::Revoke { login: "svc_pos".into() }, Step::Withdraw { service: "pos".into(), until }]);
        let kept = outcome(&before, &steps, &published(), NOW);
        assert_eq!(plan(&desired(&["crm"], true), &kept, Timestamp::from_second(99).unwrap()), []);
        assert_eq!(plan(&desired(&["crm"], true), &kept, until), [Step::Erase { service: "pos".into() }]);
    }

    #[test]
    fn suspension_closes_access_and_keeps_everything_else() {
        let before = outcome(
            &TenantData::default(),
            &plan(&desired(&["crm"], true), &TenantData::default(), NOW),
            &published(),
            NOW,
        );
        let steps = plan(&desired(&["crm"], false), &before, NOW);
        assert_eq!(steps, [Step::Revoke { login: "svc_crm".into() }]);
    }

    #[test]
    fn what_was_granted_to_a_second_login_is_taken_back() {
        let mut before = outcome(
            &TenantData::default(),
            &plan(&desired(&["crm"], true), &TenantData::default(), NOW),
            &published(),
            NOW,
        );
        before.members.insert("svc2_crm".into());
        let taken = Step::Revoke { login: "svc2_crm".into() };
        let steps = plan(&desired(&["crm"], true), &before, NOW);
        assert_eq!(steps, std::slice::from_ref(&taken));
        let statement = steps[0].statement(&Identifier::tenant("acme").unwrap());
        assert_eq!(statement.as_deref(), Some("REVOKE \"t_acme\" FROM \"svc2_crm\""));
        assert!(retain(&before).contains(&taken) && erase(&before).contains(&taken));
    }

    fn services() -> impl Strategy<Value = Vec<&'static str>> {
        proptest::sample::subsequence(vec!["crm", "finance", "pos"], 0..=3)
    }

    proptest! {
        #[test]
        fn a_plan_applied_is_an_empty_plan(first in services(), second in services(), open in any::<bool>()) {
            let one = outcome(&TenantData::default(), &plan(&desired(&first, true), &TenantData::default(), NOW), &published(), NOW);
            let two = outcome(&one, &plan(&desired(&second, open), &one, NOW), &published(), NOW);
            let again = plan(&desired(&second, open), &two, NOW);
            // Migration roles of services whose data was erased later are cleaned by the next plan.
            prop_assert!(again.is_empty(), "{again:?}");
        }

        #[test]
        fn nobody_but_the_entitled_may_act_as_the_tenant(first in services(), second in services(), open in any::<bool>()) {
            let one = outcome(&TenantData::default(), &plan(&desired(&first, true), &TenantData::default(), NOW), &published(), NOW);
            let two = outcome(&one, &plan(&desired(&second, open), &one, NOW), &published(), NOW);
            let acting: Vec<_> = two.members.iter().filter_map(|login| login.strip_prefix("svc_")).collect();
            let expected = if open { second } else { vec![] };
            prop_assert_eq!(acting, expected);
        }
    }
}
