//! What can be entitled: services and modules, by release. Pure.

use easycode_contract::runtime::COMMON_SERVICES;
use easycode_crds::{Release, Tenant};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::Fleet;

/// What one release offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Offer {
    /// Name of the release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// Services that can be entitled; those that every tenant has are left out.
    pub services: Vec<OfferedService>,
}

/// A service that can be entitled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OfferedService {
    /// Its name.
    pub name: String,
    /// Modules that can be entitled separately.
    pub modules: Vec<String>,
}

impl Offer {
    /// What the release offers.
    #[must_use]
    pub fn of(release: &Release) -> Self {
        let business = release.spec.services.iter().filter(|one| !COMMON_SERVICES.contains(&one.name.as_str()));
        Self {
            release: release.metadata.name.clone().unwrap_or_default(),
            version: release.spec.version.clone(),
            services: business
                .map(|one| OfferedService { name: one.name.clone(), modules: one.modules.clone() })
                .collect(),
        }
    }
}

/// What all releases offer.
#[must_use]
pub fn all(fleet: &Fleet) -> Vec<Offer> {
    fleet.releases().iter().map(|release| Offer::of(release)).collect()
}

/// What is offered to a tenant: by the release of its home, or for one that has none yet by those of all platforms together.
#[must_use]
pub fn for_tenant(tenant: Option<&Tenant>, fleet: &Fleet) -> Vec<OfferedService> {
    let status = tenant.and_then(|tenant| tenant.status.as_ref());
    let of_platform = |name: &str| fleet.platform(name).and_then(|one| fleet.release(&one.spec.release));
    let of_instance = |name: &str| {
        let instance = fleet.instance(name)?;
        let running = instance.status.as_ref().and_then(|status| status.release.clone());
        fleet.release(&running?)
    };
    let home = status.and_then(|status| match (&status.platform, &status.instance) {
        (Some(name), _) => of_platform(name),
        (_, Some(name)) => of_instance(name),
        _ => None,
    });
    if let Some(release) = home {
        return Offer::of(&release).services;
    }
    let platforms = fleet.platforms();
    let releases = platforms.iter().filter_map(|one| fleet.release(&one.spec.release));
    merged(releases.flat_map(|release| Offer::of(&release).services))
}

fn merged(services: impl Iterator<Item = OfferedService>) -> Vec<OfferedService> {
    let mut all: Vec<OfferedService> = Vec::new();
    for service in services {
        match all.iter_mut().find(|one| one.name == service.name) {
            Some(known) => {
                let new: Vec<_> = service.modules.into_iter().filter(|one| !known.modules.contains(one)).collect();
                known.modules.extend(new);
            }
            None => all.push(service),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_every_tenant_has_is_not_offered() {
        let services = json!([
            { "name": "tenant-service", "image": "t:1", "schemaVersion": 1 },
            { "name": "user-service", "image": "u:1", "schemaVersion": 1 },
            { "name": "crm", "image": "c:1", "schemaVersion": 1, "modules": ["campaigns"] },
        ]);
        let spec = serde_json::from_value(json!({ "version": "1.0.0", "services": services })).unwrap();
        let offer = Offer::of(&Release::new("r1", spec));
        let crm = OfferedService { name: "crm".into(), modules: vec!["campaigns".into()] };
        assert_eq!(offer.services, std::slice::from_ref(&crm));
        let more = OfferedService { name: "crm".into(), modules: vec!["campaigns".into(), "leads".into()] };
        assert_eq!(merged([crm, more.clone()].into_iter()), [more]);
    }
}
