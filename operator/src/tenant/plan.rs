//! Pure: from the tenant and what was observed to the steps in the database, the ConfigMap, and the findings.
//! No IO, no clock but the one passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use easycode_contract::{
    context::{ContextLimits, DataUse, FirstAdministrator, TenantContext, TenantState},
    database::Identifier,
    runtime,
};
use easycode_crds::{
    Release, Tenant,
    conditions::{self, Finding, reason},
    tenant::{Model, ServiceData, State},
};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use super::{
    config_map_name,
    observe::{DatabaseView, Observed, Residence},
    relocation,
};
use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    postgres::{
        self,
        plan::{self as database_plan, Desired, Step},
        survey::TenantData,
    },
    stack::home::Home,
};

/// What is to be done for a tenant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it lives; the tenant's label must name it before anything is made there.
    pub home: Option<Home>,
    /// Role and schema.
    pub role: Option<Identifier>,
    /// Steps in the database there.
    pub steps: Vec<Step>,
    /// What the database holds now.
    pub database: TenantData,
    /// Services that the tenant may use, those that all have included, with the schema version each must have.
    pub entitled: BTreeMap<String, i32>,
    /// The published context.
    pub config_map: Option<Planned>,
    /// Where the tenant's people reach the services.
    pub endpoint: Option<String>,
    /// What is already known to be so or not, before anything is applied.
    pub findings: Vec<Finding>,
    /// Uid of the `Tenant` of this name whose data is taken over.
    pub adopted: Option<String>,
    /// When to look again although nothing changed.
    pub next_look: Option<Duration>,
}

impl Plan {
    fn blocked(findings: Vec<Finding>) -> Self {
        Self {
            home: None,
            role: None,
            steps: Vec::new(),
            database: TenantData::default(),
            entitled: BTreeMap::new(),
            config_map: None,
            endpoint: None,
            findings,
            adopted: None,
            next_look: None,
        }
    }

    /// Says something else of where the tenant lives, and looks again at least as soon as given.
    pub fn place(&mut self, finding: Option<Finding>, next_look: Option<Duration>) {
        if let Some(finding) = finding {
            self.findings.retain(|one| one.type_ != finding.type_);
            self.findings.insert(0, finding);
        }
        self.next_look = self.next_look.into_iter().chain(next_look).min();
    }

    /// Whether a finding keeps the tenant from becoming ready.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.status != Some(true))
    }
}

/// Makes the plan.
#[must_use]
pub fn plan(tenant: &Tenant, observed: &Observed, now: Timestamp) -> Plan {
    let residence = match &observed.residence {
        Ok(residence) => residence,
        Err(why) => {
            let finding = Finding::new(conditions::PLACED, Some(false), why.reason, why.message.clone());
            return Plan::blocked(vec![finding]);
        }
    };
    let mut plan = at(residence, tenant, observed, now);
    plan.findings.extend(served(residence));
    plan
}

/// The plan of a tenant that lives there, but for what is said of the services.
fn at(residence: &Residence, tenant: &Tenant, observed: &Observed, now: Timestamp) -> Plan {
    let home = &residence.home;
    let mut blocked = Plan { home: Some(home.clone()), ..Plan::blocked(vec![placed(tenant, home)]) };

    // The CRD admits only names that are identifiers, so this speaks for objects stored before it did.
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else {
        blocked.findings.push(Finding::new(
            conditions::DATABASE_READY,
            Some(false),
            reason::DATABASE_UNAVAILABLE,
            "metadata.name can't be the name of a database role; recreate the tenant under another name",
        ));
        return blocked;
    };
    let Some(release) = &observed.release else {
        blocked.findings.push(Finding::new(
            conditions::ENTITLEMENTS_VALID,
            None,
            reason::PLATFORM_NOT_READY,
            format!("{home} has no release yet; see its conditions"),
        ));
        // Which modules there are is not known, but that nobody is to be served is.
        let closed = tenant.spec.state == State::Suspended && tenant.status.is_some();
        blocked.config_map = closed.then(|| config_map(tenant, home, None, &role, &BTreeMap::new()));
        return blocked;
    };
    let (entitled, complaint) = entitled(tenant, release);
    blocked.findings.push(complaint.unwrap_or_else(|| {
        Finding::new(conditions::ENTITLEMENTS_VALID, Some(true), reason::AS_PLANNED, "all in the release")
    }));
    let is_usable = matches!(observed.trouble, None | Some(postgres::Error::Full));
    let Some(database) = observed.database.as_ref().filter(|_| is_usable) else {
        blocked.findings.push(no_database(home, observed.trouble.as_ref()));
        blocked.config_map = closing(tenant, home, release, &role, entitled);
        return blocked;
    };
    let uid = tenant.uid().unwrap_or_default();
    if let Some(finding) = foreign_data(tenant, &database.tenant, &uid) {
        blocked.findings.push(finding);
        // Nobody may act for the one whose data it is, least of all under the name of this tenant.
        blocked.steps = database_plan::retain(&TenantData { uid: None, ..database.tenant.clone() });
        blocked.config_map = Some(config_map(tenant, home, Some(release), &role, &BTreeMap::new()));
        return blocked;
    }
    if let Some(finding) = unpublished(home, &entitled, &database.published) {
        blocked.findings.push(finding);
        blocked.config_map = closing(tenant, home, release, &role, entitled);
        return blocked;
    }

    if observed.trouble.is_some() {
        // It is full. What needs no room is done: above all, taking away.
        blocked.findings.push(no_database(home, observed.trouble.as_ref()));
    }
    let retention = jiff::SignedDuration::try_from(tenant.spec.retention.get()).unwrap_or(jiff::SignedDuration::MAX);
    let adopted = match &database.tenant.uid {
        Some(owner) => (*owner != uid).then(|| owner.clone()),
        None => (!database.tenant.schemas.is_empty()).then(|| labels::UNREGISTERED.to_owned()),
    };
    let desired = Desired {
        role: role.clone(),
        uid,
        display_name: tenant.spec.display_name.clone(),
        entitled: entitled.clone(),
        kept: tenant.spec.entitlements.iter().map(|one| one.service.clone()).collect(),
        open: tenant.spec.state == State::Active,
        retain_until: whole_seconds(now.saturating_add(retention).unwrap_or(Timestamp::MAX)),
    };
    let missing = missing(tenant, database, &entitled);
    let mut steps = database_plan::plan(&desired, &database.tenant, now);
    if relocation::is_frozen(tenant) {
        // What is being copied stays as it is; only access is taken away at once.
        steps.retain(|step| matches!(step, Step::Revoke { .. }));
    }
    if !missing.is_empty() {
        // An empty schema in its place would hide that data is lost.
        steps.retain(|step| !matches!(step, Step::Provision { service } if missing.contains(service)));
        blocked.findings.push(data_missing(&missing));
    }
    Plan {
        config_map: Some(config_map(tenant, home, Some(release), &role, &entitled)),
        endpoint: residence.endpoint.clone(),
        next_look: end_of_retention(&database.tenant, &steps, now),
        role: Some(role),
        steps,
        database: database.tenant.clone(),
        entitled,
        adopted,
        ..blocked
    }
}

/// Whether the services of an instance serve, whatever else keeps the tenant from becoming ready.
fn served(residence: &Residence) -> Option<Finding> {
    let home = &residence.home;
    let finding = |status, reason, message| Finding::new(conditions::SERVICES_AVAILABLE, status, reason, message);
    if let Some(why) = &residence.unavailable {
        let message = format!("the services of {home} are not all available: {why}");
        return Some(finding(None, reason::INSTANCE_NOT_READY, message));
    }
    let message = "all services run as planned".to_owned();
    matches!(home, Home::Instance(_)).then(|| finding(Some(true), reason::AS_PLANNED, message))
}

fn placed(tenant: &Tenant, home: &Home) -> Finding {
    let deployment = &tenant.spec.deployment;
    let wanted = match (deployment.model, &deployment.instance, &deployment.platform) {
        (Model::Dedicated, instance, _) => Home::Instance(instance.clone().unwrap_or_default()),
        (Model::Shared, _, Some(platform)) => Home::Platform(platform.clone()),
        (Model::Shared, _, None) if matches!(home, Home::Platform(_)) => home.clone(),
        (Model::Shared, ..) => {
            let message = format!("it is to move from {home} to a platform");
            return Finding::new(conditions::PLACED, Some(false), reason::MOVING, message);
        }
    };
    if wanted == *home {
        return Finding::new(conditions::PLACED, Some(true), reason::AS_PLANNED, format!("on {home}"));
    }
    Finding::new(conditions::PLACED, Some(false), reason::MOVING, format!("it is to move from {home} to {wanted}"))
}

/// The context that takes away what is to be taken away and gives nothing new: that must not wait for anything.
fn closing(
    tenant: &Tenant,
    home: &Home,
    release: &Release,
    role: &Identifier,
    mut entitled: BTreeMap<String, i32>,
) -> Option<Planned> {
    entitled.retain(|service, _| had(tenant, service).is_some_and(|data| data.entitled));
    (!entitled.is_empty()).then(|| config_map(tenant, home, Some(release), role, &entitled))
}

fn no_database(home: &Home, trouble: Option<&postgres::Error>) -> Finding {
    match trouble {
        Some(trouble) => Finding::new(conditions::DATABASE_READY, Some(false), trouble.reason(), trouble.to_string()),
        None => Finding::new(
            conditions::DATABASE_READY,
            None,
            reason::PLATFORM_NOT_READY,
            format!("the Postgres of {home} is not set up yet; see its conditions"),
        ),
    }
}

/// Services whose migrations have not run there yet.
fn unpublished(home: &Home, entitled: &BTreeMap<String, i32>, published: &BTreeMap<String, i32>) -> Option<Finding> {
    let waiting: Vec<_> = entitled
        .iter()
        .filter(|(service, version)| published.get(*service).is_none_or(|published| published < version))
        .map(|(service, _)| service.as_str())
        .collect();
    (!waiting.is_empty()).then(|| {
        Finding::new(
            conditions::DATABASE_READY,
            None,
            reason::PLATFORM_NOT_READY,
            format!("migrations of {} have not run on {home} yet", waiting.join(", ")),
        )
    })
}

fn data_missing(services: &[String]) -> Finding {
    Finding::new(
        conditions::DATABASE_READY,
        Some(false),
        reason::DATA_MISSING,
        format!(
            "the schema of {} is gone from Postgres, and the operator did not erase it: restore it, or annotate the tenant with {}={} to begin with an empty one",
            services.join(", "),
            labels::RECREATE_DATA,
            services.join(",")
        ),
    )
}

/// The time until the data of a withdrawn service is to be erased.
fn end_of_retention(present: &TenantData, steps: &[Step], now: Timestamp) -> Option<Duration> {
    let planned = steps.iter().filter_map(|step| match step {
        Step::Withdraw { until, .. } => Some(until),
        _ => None,
    });
    let waits = present.withdrawn.values().chain(planned);
    let soonest = waits.filter_map(|until| Duration::try_from(until.duration_since(now)).ok()).min()?;
    Some(soonest.clamp(Duration::from_secs(1), Duration::from_hours(1)))
}

/// What the tenant was last seen to have of a service.
fn had<'a>(tenant: &'a Tenant, service: &str) -> Option<&'a ServiceData> {
    tenant.status.as_ref()?.services.iter().find(|data| data.service == service)
}

/// Entitled services whose schema was there and is gone, unless the tenant says to begin anew. The database tells of a
/// schema that was dropped there, the status of a database that was taken back to a time before the tenant.
fn missing(tenant: &Tenant, database: &DatabaseView, entitled: &BTreeMap<String, i32>) -> Vec<String> {
    let recreate = tenant.annotations().get(labels::RECREATE_DATA).map(String::as_str).unwrap_or_default();
    let lost = |service: &&String| {
        // Data of a withdrawn service may have been erased after its retention.
        let was_there = had(tenant, service).is_some_and(|data| data.retained_until.is_none());
        !database.tenant.schemas.contains_key(*service)
            && (was_there || database.tenant.lost.contains(*service))
            && !recreate.split(',').any(|one| one.trim() == *service)
    };
    entitled.keys().filter(lost).cloned().collect()
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Services that are entitled and in the release, with their schema versions, and what is wrong with the others.
fn entitled(tenant: &Tenant, release: &Release) -> (BTreeMap<String, i32>, Option<Finding>) {
    let released: BTreeMap<_, _> =
        release.spec.services.iter().map(|service| (service.name.as_str(), service)).collect();
    let mut entitled = BTreeMap::new();
    let mut complaint = None;
    let mut complain = |reason, message| {
        complaint.get_or_insert_with(|| Finding::new(conditions::ENTITLEMENTS_VALID, Some(false), reason, message));
    };
    for service in runtime::COMMON_SERVICES.iter().filter_map(|name| released.get(name)) {
        entitled.insert(service.name.clone(), service.schema_version);
    }
    for entitlement in &tenant.spec.entitlements {
        let Some(service) = released.get(entitlement.service.as_str()) else {
            let offered: Vec<_> =
                released.keys().filter(|name| !runtime::COMMON_SERVICES.contains(name)).copied().collect();
            let message = format!(
                "release {} has no service {}; it has {}",
                release.spec.version,
                entitlement.service,
                offered.join(", ")
            );
            complain(reason::UNKNOWN_SERVICE, message);
            continue;
        };
        entitled.insert(service.name.clone(), service.schema_version);
        if let Some(unknown) = entitlement.modules.iter().find(|module| !service.modules.contains(module)) {
            let offered = if service.modules.is_empty() { "none".to_owned() } else { service.modules.join(", ") };
            let message = format!(
                "service {} has no module {unknown} in release {}; it has {offered}",
                service.name, release.spec.version
            );
            complain(reason::UNKNOWN_MODULE, message);
        }
    }
    (entitled, complaint)
}

/// Data of another tenant of this name, unless the tenant says that it takes it over. A tenant that never was deleted by the
/// operator comes back with another uid when its objects are restored (from Git, from a backup of the cluster): it is the same.
fn foreign_data(tenant: &Tenant, data: &TenantData, uid: &str) -> Option<Finding> {
    let owner = match data.uid.as_deref() {
        Some(owner) if owner == uid => return None,
        Some(_) if data.retained.is_none() && data.display_name.as_ref() == Some(&tenant.spec.display_name) => {
            return None;
        }
        Some(owner) => owner,
        // Struck off the registry: the status of the tenant that it was made for still knows it.
        None if data.schemas.is_empty() || tenant.status.as_ref().is_some_and(|status| !status.services.is_empty()) => {
            return None;
        }
        None => labels::UNREGISTERED,
    };
    if tenant.annotations().get(labels::UNDELETE).is_some_and(|adopted| adopted == owner) {
        return None;
    }
    Some(Finding::new(
        conditions::DATABASE_READY,
        Some(false),
        reason::RETAINED_DATA,
        format!(
            "the data of another tenant of this name, {}, is kept; to take it over, annotate this tenant with {}={owner}, or choose another name",
            data.display_name.as_deref().unwrap_or("unnamed"),
            labels::UNDELETE
        ),
    ))
}

fn config_map(
    tenant: &Tenant,
    home: &Home,
    release: Option<&Release>,
    role: &Identifier,
    entitled: &BTreeMap<String, i32>,
) -> Planned {
    let spec = &tenant.spec;
    let modules = |service: &str| -> BTreeSet<String> {
        let released = release.and_then(|release| release.spec.services.iter().find(|one| one.name == service));
        let known = |module: &&String| released.is_some_and(|service| service.modules.contains(module));
        let entitlement = spec.entitlements.iter().find(|one| one.service == service);
        entitlement.into_iter().flat_map(|one| one.modules.iter().filter(known).cloned()).collect()
    };
    let context = TenantContext {
        tenant: tenant.name_any(),
        uid: tenant.uid().unwrap_or_default(),
        created_at: tenant.metadata.creation_timestamp.as_ref().map(|created| created.0.as_second()),
        display_name: spec.display_name.clone(),
        generation: tenant.metadata.generation.unwrap_or_default(),
        state: match spec.state {
            State::Active => TenantState::Active,
            State::Suspended => TenantState::Suspended,
        },
        read_only: relocation::is_frozen(tenant),
        entitlements: entitled.keys().map(|service| (service.clone(), modules(service))).collect(),
        administrators: spec
            .administrators
            .iter()
            .map(|one| FirstAdministrator { email: one.email.clone(), name: one.name.clone() })
            .collect(),
        limits: ContextLimits {
            users: spec.limits.users,
            connections: spec.limits.connections,
            statement_timeout_ms: spec.limits.statement_timeout.millis(),
            storage_bytes: spec.limits.storage.bytes(),
            requests_per_second: spec.limits.requests_per_second,
        },
        data_use: DataUse { analytics: spec.data_use.analytics, ai_training: spec.data_use.ai_training },
        database_role: role.as_str().to_owned(),
        release: release.map(|release| release.spec.version.clone()).unwrap_or_default(),
        settings: BTreeMap::new(),
    };
    let mut object_labels = home.labels("tenant-config");
    object_labels[labels::TENANT] = tenant.name_any().into();
    let document = serde_json::to_string(&context).expect("a context has only string keys");
    let body = json!({
        "metadata": { "labels": object_labels, "annotations": { "easycode.io/owner": format!("Tenant/{}", tenant.name_any()) } },
        "data": { runtime::CONTEXT_KEY: document },
    });
    Planned::new(Kind::ConfigMap, &home.namespace(), &config_map_name(tenant), body)
}
