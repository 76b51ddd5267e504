//! Reads what a tenant's plan needs, out of caches only: where it lives, the release there, and what the database holds.

use std::{collections::BTreeMap, sync::Arc};

use easycode_contract::database::Identifier;
use easycode_crds::{DedicatedInstance, Release, SharedPlatform, Tenant, conditions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::placement::{Offer, Unplaced, placed_on};
use crate::{
    instance, platform,
    postgres::{self, Database, survey::TenantData},
    runtime::context::Context,
    stack::home::Home,
};

/// What a tenant's plan is made from, beside the tenant.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Where it lives, or why nowhere.
    pub residence: Result<Residence, Unplaced>,
    /// The release that runs there.
    pub release: Option<Arc<Release>>,
    /// What the database there holds; `None` while it is not connected.
    pub database: Option<DatabaseView>,
    /// What was wrong with the database there at the last look.
    pub trouble: Option<postgres::Error>,
}

/// Where a tenant lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residence {
    /// The platform or the instance.
    pub home: Home,
    /// Where the tenant's people reach the services.
    pub endpoint: Option<String>,
    /// What keeps the services of an instance from serving; those of a platform are told of there.
    pub unavailable: Option<String>,
}

impl Residence {
    /// A platform.
    #[must_use]
    pub fn on_platform(platform: &SharedPlatform) -> Self {
        Self {
            home: Home::Platform(platform.name_any()),
            endpoint: platform::plan::endpoint(platform),
            unavailable: None,
        }
    }

    /// An instance, as it is there for the tenant: what it has said of its services holds for those that it has looked at, which one that
    /// the tenant was entitled to a moment ago is not among.
    #[must_use]
    pub fn on_instance(instance: &DedicatedInstance, tenant: &Tenant) -> Self {
        let status = instance.status.as_ref();
        let runs =
            |service: &str| status.is_some_and(|status| status.services.iter().any(|one| one.service == service));
        let entitled = tenant.spec.entitlements.iter().map(|one| one.service.as_str());
        let missing: Vec<_> = entitled.filter(|service| !runs(service)).collect();
        let missing = (!missing.is_empty()).then(|| format!("{} not brought up yet", missing.join(", ")));
        Self {
            home: Home::Instance(instance.name_any()),
            endpoint: instance::plan::endpoint(instance),
            unavailable: unavailable(status.map_or(&[], |status| &status.conditions)).or(missing),
        }
    }
}

/// What keeps the services of a home from serving, by its conditions.
pub(super) fn unavailable(conditions: &[Condition]) -> Option<String> {
    match conditions.iter().find(|one| one.type_ == conditions::SERVICES_AVAILABLE) {
        Some(one) => (one.status != "True").then(|| one.message.clone()),
        None => Some("it was not brought up yet".to_owned()),
    }
}

/// What the plan needs to know of the database.
#[derive(Clone, Debug, Default)]
pub struct DatabaseView {
    /// What the tenant has.
    pub tenant: TenantData,
    /// Version of the published migrations, by service.
    pub published: BTreeMap<String, i32>,
}

/// Reads. Decides the placement of a tenant that has none.
#[must_use]
pub fn observe(tenant: &Tenant, context: &Context) -> Observed {
    let (platforms, instances) = (context.platforms.state(), context.instances.state());
    let tenants = context.tenants.state();
    let holders = if placed_on(tenant).is_none() { holders(tenant, context) } else { Vec::new() };
    let offer = Offer { platforms: &platforms, instances: &instances, holders: &holders };
    let placed = context.placement.place(tenant, tenants.iter().map(AsRef::as_ref), &offer);
    let home = match placed {
        Ok(home) => home,
        Err(why) => return Observed { residence: Err(why), release: None, database: None, trouble: None },
    };
    let (residence, release) = match &home {
        Home::Platform(name) => {
            let platform = platforms.iter().find(|one| one.name_any() == *name);
            let running = platform.and_then(|one| one.status.as_ref()?.release.clone());
            let release = running.or_else(|| platform.map(|one| one.spec.release.clone()));
            (platform.map(|one| Residence::on_platform(one)), release)
        }
        Home::Instance(name) => {
            let instance = instances.iter().find(|one| one.name_any() == *name);
            let running = instance.and_then(|one| one.status.as_ref()?.release.clone());
            let release = running.or_else(|| instance.and_then(|one| Some(context.wanted(one).ok()?.name_any())));
            (instance.map(|one| Residence::on_instance(one, tenant)), release)
        }
    };
    let residence = residence.expect("placement names only what it was given");
    let release = release.and_then(|name| context.releases.get(&ObjectRef::new(&name)));
    let database = Identifier::tenant(&tenant.name_any()).ok().and_then(|role| {
        let database = context.databases.get(&home)?;
        Some(DatabaseView { tenant: database.tenant(&role), published: database.published() })
    });
    let trouble = context.databases.trouble(&home);
    Observed { residence: Ok(residence), release, database, trouble }
}

/// Platforms and instances whose database has data of a tenant of this name. Where it is in use counts before where it is
/// kept: a tenant that has moved, or was about to, has left a copy; and of several that are kept the newest counts.
fn holders(tenant: &Tenant, context: &Context) -> Vec<Home> {
    let Ok(role) = Identifier::tenant(&tenant.name_any()) else { return Vec::new() };
    let holds = |(home, database): (Home, Arc<Database>)| {
        let data = database.tenant(&role);
        (data.uid.is_some() || !data.schemas.is_empty()).then_some((home, data.retained))
    };
    in_use(context.databases.all().into_iter().filter_map(holds).collect())
}

/// Of homes, each with the time since when the data there is only kept, those that count.
fn in_use(holders: Vec<(Home, Option<Timestamp>)>) -> Vec<Home> {
    let newest = holders.iter().map(|(_, retained)| retained.unwrap_or(Timestamp::MAX)).max();
    let counts = |(_, retained): &(Home, Option<Timestamp>)| Some(retained.unwrap_or(Timestamp::MAX)) == newest;
    holders.into_iter().filter(counts).map(|(home, _)| home).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_that_an_instance_has_not_looked_at_is_not_available_there() {
        let spec = json!({
            "tenantRef": { "name": "a" }, "release": { "version": "1" }, "location": { "region": "eu" },
            "identity": { "issuer": "https://i", "jwks": "{\"keys\": []}" },
        });
        let mut instance = DedicatedInstance::new("a", serde_json::from_value(spec).unwrap());
        let unavailable = |instance: &DedicatedInstance, services: &[&str]| {
            let entitlements: Vec<_> = services.iter().map(|service| json!({ "service": service })).collect();
            let spec = json!({ "displayName": "A", "entitlements": entitlements });
            Residence::on_instance(instance, &Tenant::new("a", serde_json::from_value(spec).unwrap())).unavailable
        };
        assert_eq!(unavailable(&instance, &[]).as_deref(), Some("it was not brought up yet"));

        let status = |available: &str, message: &str| {
            let transition = "2026-11-26T00:00:00Z";
            let condition = json!({ "type": conditions::SERVICES_AVAILABLE, "status": available, "reason": "R",
                "message": message, "lastTransitionTime": transition });
            let crm = json!({ "service": "crm", "image": "c:1", "available": 1, "replicas": 1, "schemaVersion": 1 });
            serde_json::from_value(json!({ "conditions": [condition], "services": [crm] })).unwrap()
        };
        instance.status = Some(status("True", "all run"));
        assert_eq!(unavailable(&instance, &["crm"]), None);
        assert_eq!(unavailable(&instance, &["crm", "pos"]).as_deref(), Some("pos not brought up yet"));
        instance.status = Some(status("False", "crm is rolling out"));
        assert_eq!(unavailable(&instance, &["crm", "pos"]).as_deref(), Some("crm is rolling out"));
    }

    #[test]
    fn data_in_use_counts_before_copies_that_are_kept() {
        let on = |name: &str| Home::Platform(name.to_owned());
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!(in_use(vec![(on("a"), at(5)), (on("b"), None), (on("c"), at(9))]), [on("b")]);
        assert_eq!(in_use(vec![(on("a"), at(5)), (on("c"), at(9))]), [on("c")]);
        assert_eq!(in_use(vec![(on("a"), None), (on("b"), None)]), [on("a"), on("b")], "two tell nothing");
        assert_eq!(in_use(vec![]), []);
    }
}
