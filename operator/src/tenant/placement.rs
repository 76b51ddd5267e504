//! Where a tenant lives: which platform, or its instance. Decided once; kept in the tenant's label, then in its status.

use std::{collections::HashMap, sync::Mutex};

use easycode_crds::{DedicatedInstance, SharedPlatform, Tenant, conditions::reason, tenant::Model};
use kube::ResourceExt;

use super::relocation::destined_for;
use crate::{kubernetes::labels, runtime::context::Context, stack::home::Home};

/// Why no platform was found, for the tenant's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Condition reason.
    pub reason: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

/// Places tenants, and keeps in mind those placed since the caches were last updated, so that many tenants at once do
/// not overfill a platform.
#[derive(Default)]
pub struct Placement {
    recent: Mutex<HashMap<String, String>>,
}

/// Where a tenant lives: its status is the truth, its label until there is a status.
#[must_use]
pub fn placed_on(tenant: &Tenant) -> Option<Home> {
    let status = tenant.status.as_ref();
    let label = |key: &str| tenant.labels().get(key).cloned();
    let instance = status.and_then(|status| status.instance.clone()).map(Home::Instance);
    let platform = status.and_then(|status| status.platform.clone()).map(Home::Platform);
    instance
        .or(platform)
        .or_else(|| label(labels::INSTANCE).map(Home::Instance))
        .or_else(|| label(labels::PLATFORM).map(Home::Platform))
}

/// Names of the tenants that live there.
#[must_use]
pub fn tenants_on(home: &Home, context: &Context) -> Vec<String> {
    let lives = |tenant: &Tenant| placed_on(tenant).as_ref() == Some(home);
    context.tenants.state_filter(lives).iter().map(|tenant| tenant.name_any()).collect()
}

/// What there is to choose from.
pub struct Offer<'a, P, I> {
    /// All platforms.
    pub platforms: &'a [P],
    /// All instances.
    pub instances: &'a [I],
    /// Those whose database has data of the tenant's name.
    pub holders: &'a [Home],
}

impl Placement {
    /// Finds the tenant's home: the one it was placed on before, else the one that already has data of its name, else what
    /// its spec asks for.
    pub fn place<'a, P: AsRef<SharedPlatform>, I: AsRef<DedicatedInstance>>(
        &self,
        tenant: &Tenant,
        tenants: impl Iterator<Item = &'a Tenant>,
        offer: &Offer<'_, P, I>,
    ) -> Result<Home, Unplaced> {
        let placed = placed_on(tenant);
        let settled = match (&placed, offer.holders) {
            (Some(home), _) => Some(home),
            // A tenant whose objects were restored, or one of a deleted tenant's name: its data must not be passed by.
            (None, [holder]) => {
                let named = tenant.spec.deployment.platform.as_deref();
                if let (Home::Platform(holder), Some(named)) = (holder, named)
                    && holder != named
                {
                    return Err(elsewhere(holder));
                }
                Some(holder)
            }
            _ => None,
        };
        match settled {
            Some(Home::Platform(name)) => {
                let found = offer.platforms.iter().map(AsRef::as_ref).find(|one| one.name_any() == *name);
                let platform = found.ok_or_else(|| not_found(name))?;
                in_region(tenant, &format!("SharedPlatform {name}"), &platform.spec.region)?;
                return Ok(Home::Platform(name.clone()));
            }
            Some(Home::Instance(name)) => return instance(tenant, name, offer.instances),
            None => {}
        }
        if tenant.spec.deployment.model == Model::Dedicated {
            let named = tenant.spec.deployment.instance.as_deref().unwrap_or_default();
            return arriving(tenant, named, offer.instances);
        }
        Ok(Home::Platform(self.choose(tenant, tenants, offer.platforms)?))
    }

    /// Where the tenant is to live, by its spec: its present home, or another that is there for it. `before` is where it was
    /// found to be destined for by an earlier look, so that a choice among platforms is made once.
    pub fn destination<'a, P: AsRef<SharedPlatform>, I: AsRef<DedicatedInstance>>(
        &self,
        tenant: &Tenant,
        home: &Home,
        before: Option<&Home>,
        tenants: impl Iterator<Item = &'a Tenant>,
        offer: &Offer<'_, P, I>,
    ) -> Result<Home, Unplaced> {
        let deployment = &tenant.spec.deployment;
        match (deployment.model, &deployment.platform) {
            (Model::Dedicated, _) => {
                let named = deployment.instance.as_deref().unwrap_or_default();
                if *home == Home::Instance(named.to_owned()) {
                    return Ok(home.clone());
                }
                arriving(tenant, named, offer.instances)
            }
            (Model::Shared, Some(named)) if *home == Home::Platform(named.clone()) => Ok(home.clone()),
            (Model::Shared, None) if matches!(home, Home::Platform(_)) => Ok(home.clone()),
            (Model::Shared, named) => {
                if let Some(before @ Home::Platform(name)) = before
                    && named.as_ref().is_none_or(|named| named == name)
                {
                    // It has room for the tenant, which is counted there.
                    let there = offer.platforms.iter().map(AsRef::as_ref).find(|one| one.name_any() == *name);
                    match there.map(|one| &one.metadata.deletion_timestamp) {
                        Some(None) => return Ok(before.clone()),
                        Some(Some(_)) if named.is_some() => return Err(platform_going(name)),
                        // Another one is chosen.
                        Some(Some(_)) => {}
                        None => return Err(not_found(name)),
                    }
                }
                Ok(Home::Platform(self.choose(tenant, tenants, offer.platforms)?))
            }
        }
    }

    /// The platform for a tenant, given where the others live, and where they move to.
    fn choose<'a>(
        &self,
        tenant: &Tenant,
        tenants: impl Iterator<Item = &'a Tenant>,
        platforms: &[impl AsRef<SharedPlatform>],
    ) -> Result<String, Unplaced> {
        let mut recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut load: HashMap<String, usize> = HashMap::new();
        for other in tenants.filter(|other| other.name_any() != tenant.name_any()) {
            if let Some(home) = placed_on(other) {
                recent.remove(&other.name_any());
                for home in [Some(home), destined_for(other)].into_iter().flatten() {
                    if let Home::Platform(platform) = home {
                        *load.entry(platform).or_default() += 1;
                    }
                }
            }
        }
        for (name, platform) in recent.iter() {
            if *name != tenant.name_any() {
                *load.entry(platform.clone()).or_default() += 1;
            }
        }
        let chosen = choose(tenant, platforms, &load)?;
        recent.insert(tenant.name_any(), chosen.clone());
        Ok(chosen)
    }
}

/// The instance of the name, if it is there for this tenant.
fn instance(tenant: &Tenant, name: &str, instances: &[impl AsRef<DedicatedInstance>]) -> Result<Home, Unplaced> {
    let Some(found) = instances.iter().map(AsRef::as_ref).find(|one| one.name_any() == name) else {
        return Err(Unplaced {
            reason: reason::INSTANCE_NOT_FOUND,
            message: format!("DedicatedInstance {name} does not exist; create it, or set deployment.model to Shared"),
        });
    };
    if found.spec.tenant_ref.name != tenant.name_any() {
        return Err(Unplaced {
            reason: reason::TENANT_MISMATCH,
            message: format!(
                "DedicatedInstance {name} is for tenant {}; name another in deployment.instance",
                found.spec.tenant_ref.name
            ),
        });
    }
    in_region(tenant, &format!("DedicatedInstance {name}"), &found.spec.location.region)?;
    Ok(Home::Instance(name.to_owned()))
}

/// The same for a tenant that does not live there yet, which one that is being deleted is not there for.
fn arriving(tenant: &Tenant, name: &str, instances: &[impl AsRef<DedicatedInstance>]) -> Result<Home, Unplaced> {
    let home = instance(tenant, name, instances)?;
    let mut goes = instances.iter().map(AsRef::as_ref).filter(|one| one.metadata.deletion_timestamp.is_some());
    if goes.any(|one| one.name_any() == name) {
        return Err(Unplaced {
            reason: reason::INSTANCE_NOT_FOUND,
            message: format!(
                "DedicatedInstance {name} is being deleted; create it anew once it is gone, or set deployment otherwise"
            ),
        });
    }
    Ok(home)
}

fn platform_going(platform: &str) -> Unplaced {
    Unplaced {
        reason: reason::PLATFORM_NOT_FOUND,
        message: format!(
            "SharedPlatform {platform} is being deleted; create it anew once it is gone, or name another in deployment.platform"
        ),
    }
}

fn not_found(platform: &str) -> Unplaced {
    Unplaced {
        reason: reason::PLATFORM_NOT_FOUND,
        message: format!("SharedPlatform {platform} does not exist; create it, or name another in deployment.platform"),
    }
}

fn elsewhere(platform: &str) -> Unplaced {
    Unplaced {
        reason: reason::RETAINED_DATA,
        message: format!(
            "data of a tenant of this name is on SharedPlatform {platform}; name that one in deployment.platform, or choose another name"
        ),
    }
}

/// Data stays in its region, whatever label, platform or instance a tenant names.
fn in_region(tenant: &Tenant, home: &str, there: &str) -> Result<(), Unplaced> {
    match &tenant.spec.region {
        Some(region) if region != there => Err(Unplaced {
            reason: reason::NO_PLATFORM_IN_REGION,
            message: format!("{home} is in region {there}, but the tenant must stay in {region}; name one there"),
        }),
        _ => Ok(()),
    }
}

/// The named platform, else the one in the tenant's region with the most room.
fn choose(
    tenant: &Tenant,
    platforms: &[impl AsRef<SharedPlatform>],
    load: &HashMap<String, usize>,
) -> Result<String, Unplaced> {
    let used = |platform: &SharedPlatform| load.get(&platform.name_any()).copied().unwrap_or_default();
    let free = |platform: &SharedPlatform| (platform.spec.capacity.tenants as usize).saturating_sub(used(platform));
    let all = || platforms.iter().map(AsRef::as_ref);
    let alive = || all().filter(|one| one.metadata.deletion_timestamp.is_none());
    let full = |names: &str| Unplaced {
        reason: reason::NO_CAPACITY,
        message: format!("{names} full; raise capacity.tenants or create another SharedPlatform in the region"),
    };

    if let Some(name) = &tenant.spec.deployment.platform {
        let platform = all().find(|one| one.name_any() == *name).ok_or_else(|| not_found(name))?;
        if platform.metadata.deletion_timestamp.is_some() {
            return Err(platform_going(name));
        }
        in_region(tenant, &format!("SharedPlatform {name}"), &platform.spec.region)?;
        return if free(platform) > 0 { Ok(name.clone()) } else { Err(full(&format!("SharedPlatform {name} is"))) };
    }

    let mut fitting: Vec<_> =
        alive().filter(|one| tenant.spec.region.as_ref().is_none_or(|region| *region == one.spec.region)).collect();
    if fitting.is_empty() {
        let region = tenant.spec.region.as_deref();
        return Err(Unplaced {
            reason: reason::NO_PLATFORM_IN_REGION,
            message: format!(
                "there is no SharedPlatform{}; create one",
                region.map(|region| format!(" in region {region}")).unwrap_or_default()
            ),
        });
    }
    fitting.sort_by_key(|one| (std::cmp::Reverse(free(one)), one.name_any()));
    if free(fitting[0]) == 0 {
        return Err(full("every fitting SharedPlatform is"));
    }
    Ok(fitting[0].name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(name: &str, region: &str, capacity: u32) -> std::sync::Arc<SharedPlatform> {
        let spec = serde_json::json!({"region": region, "domain": "x.test", "release": "r", "capacity": {"tenants": capacity},
            "identity": {"issuer": "i", "jwks": "{\"keys\":[]}"}});
        std::sync::Arc::new(SharedPlatform::new(name, serde_json::from_value(spec).unwrap()))
    }

    fn place(
        placement: &Placement,
        tenant: &Tenant,
        platforms: &[std::sync::Arc<SharedPlatform>],
        holders: &[Home],
    ) -> Result<Home, Unplaced> {
        let instances: [std::sync::Arc<DedicatedInstance>; 0] = [];
        placement.place(tenant, std::iter::empty(), &Offer { platforms, instances: &instances, holders })
    }

    fn instance_of(tenant: &str) -> DedicatedInstance {
        let spec = serde_json::json!({ "tenantRef": { "name": tenant }, "release": { "version": "1" },
            "location": { "region": "eu" }, "identity": { "issuer": "https://i", "jwks": "{\"keys\": []}" } });
        DedicatedInstance::new(tenant, serde_json::from_value(spec).unwrap())
    }

    fn deleted<K: kube::Resource>(mut object: K) -> std::sync::Arc<K> {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        object.meta_mut().deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        std::sync::Arc::new(object)
    }

    fn on(platform: &str) -> Home {
        Home::Platform(platform.to_owned())
    }

    fn tenant(name: &str, spec: &serde_json::Value) -> Tenant {
        let mut full = serde_json::json!({"displayName": name});
        full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Tenant::new(name, serde_json::from_value(full).unwrap())
    }

    #[test]
    fn a_burst_never_overfills() {
        let platforms = [platform("a", "eu", 2), platform("b", "eu", 1)];
        let placement = Placement::default();
        let placed: Vec<_> = (0..4)
            .map(|n| place(&placement, &tenant(&format!("t{n}"), &serde_json::json!({})), &platforms, &[]))
            .collect();
        assert_eq!(placed.iter().filter(|one| **one == Ok(on("a"))).count(), 2);
        assert_eq!(placed.iter().filter(|one| **one == Ok(on("b"))).count(), 1);
        assert_eq!(placed[3].as_ref().unwrap_err().reason, reason::NO_CAPACITY);
    }

    #[test]
    fn data_stays_in_its_region() {
        let placement = Placement::default();
        let wanted = tenant("t", &serde_json::json!({"region": "us"}));
        let error = place(&placement, &wanted, &[platform("a", "eu", 2)], &[]).unwrap_err();
        assert_eq!(error.reason, reason::NO_PLATFORM_IN_REGION);
        let named = tenant("t", &serde_json::json!({"region": "us", "deployment": {"platform": "a"}}));
        let error = place(&placement, &named, &[platform("a", "eu", 2)], &[]).unwrap_err();
        assert_eq!(error.reason, reason::NO_PLATFORM_IN_REGION);
    }

    #[test]
    fn a_placed_tenant_stays_even_when_the_platform_is_full() {
        let mut placed = tenant("t", &serde_json::json!({}));
        placed.labels_mut().insert(labels::PLATFORM.into(), "a".into());
        let placement = Placement::default();
        let platforms = [platform("a", "eu", 0), platform("b", "eu", 9)];
        assert_eq!(place(&placement, &placed, &platforms, &[]), Ok(on("a")));
    }

    #[test]
    fn nobody_comes_to_a_home_that_is_being_deleted_and_who_lives_there_stays() {
        let placement = Placement::default();
        let instances = [deleted(instance_of("t"))];
        let platforms = [deleted((*platform("a", "eu", 9)).clone()), platform("b", "eu", 2)];
        let offer = Offer { platforms: &platforms, instances: &instances, holders: &[] };
        let own = Home::Instance("t".to_owned());
        let going = |placed: Result<Home, Unplaced>| placed.unwrap_err().message.contains("is being deleted");

        let mut dedicated = tenant("t", &serde_json::json!({"deployment": {"model": "Dedicated", "instance": "t"}}));
        assert!(going(placement.place(&dedicated, std::iter::empty(), &offer)));
        assert!(going(placement.destination(&dedicated, &on("b"), Some(&own), std::iter::empty(), &offer)));
        assert_eq!(placement.destination(&dedicated, &own, None, std::iter::empty(), &offer), Ok(own.clone()));
        dedicated.labels_mut().insert(labels::INSTANCE.into(), "t".into());
        assert_eq!(placement.place(&dedicated, std::iter::empty(), &offer), Ok(own.clone()));

        let named = tenant("t", &serde_json::json!({"deployment": {"platform": "a"}}));
        assert!(going(placement.place(&named, std::iter::empty(), &offer)));
        assert!(going(placement.destination(&named, &own, Some(&on("a")), std::iter::empty(), &offer)));
        let free = tenant("t", &serde_json::json!({}));
        let chosen = placement.destination(&free, &own, Some(&on("a")), std::iter::empty(), &offer);
        assert_eq!(chosen, Ok(on("b")), "another is chosen");
    }

    #[test]
    fn a_tenant_goes_where_its_data_is() {
        let platforms = [platform("a", "eu", 2), platform("b", "eu", 9)];
        let (placement, holders) = (Placement::default(), [on("a")]);
        let free = tenant("t", &serde_json::json!({}));
        assert_eq!(place(&placement, &free, &platforms, &holders), Ok(on("a")));
        let named = tenant("t", &serde_json::json!({"deployment": {"platform": "b"}}));
        let refused = place(&placement, &named, &platforms, &holders).unwrap_err();
        assert_eq!(refused.reason, reason::RETAINED_DATA);
    }
}
