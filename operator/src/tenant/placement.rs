//! Which platform a tenant goes to. Decided once; kept in the tenant's label, then in its status.

use std::{collections::HashMap, sync::Mutex};

use easycode_crds::{SharedPlatform, Tenant, conditions::reason, tenant::Model};
use kube::ResourceExt;

use crate::kubernetes::labels;

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

/// The platform a tenant was placed on before: its status is the truth, its label until there is a status.
#[must_use]
pub fn placed_on(tenant: &Tenant) -> Option<&str> {
    tenant
        .status
        .as_ref()
        .and_then(|status| status.platform.as_deref())
        .or_else(|| tenant.labels().get(labels::PLATFORM).map(String::as_str))
}

impl Placement {
    /// Finds the tenant's platform: the one it was placed on before, else the one that already has data of its name
    /// (`holders`), else one with room.
    pub fn place<'a>(
        &self,
        tenant: &Tenant,
        tenants: impl Iterator<Item = &'a Tenant>,
        platforms: &[impl AsRef<SharedPlatform>],
        holders: &[String],
    ) -> Result<String, Unplaced> {
        if let Some(platform) = placed_on(tenant) {
            return match platforms.iter().map(AsRef::as_ref).find(|one| one.name_any() == platform) {
                Some(found) => in_region(tenant, found).map(|()| platform.to_owned()),
                None => Err(not_found(platform)),
            };
        }
        if tenant.spec.deployment.model == Model::Dedicated {
            let instance = tenant.spec.deployment.instance.as_deref().unwrap_or_default();
            return Err(Unplaced {
                reason: reason::INSTANCE_NOT_FOUND,
                message: format!(
                    "DedicatedInstance {instance} does not exist; create it, or set deployment.model to Shared"
                ),
            });
        }
        if let [holder] = holders {
            // A tenant whose objects were restored, or one of a deleted tenant's name: its data must not be passed by.
            let named = tenant.spec.deployment.platform.as_ref();
            return if named.is_none_or(|named| named == holder) { Ok(holder.clone()) } else { Err(elsewhere(holder)) };
        }
        let mut recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut load: HashMap<String, usize> = HashMap::new();
        for other in tenants.filter(|other| other.name_any() != tenant.name_any()) {
            if let Some(platform) = placed_on(other) {
                recent.remove(&other.name_any());
                *load.entry(platform.to_owned()).or_default() += 1;
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

/// Data stays in its region, whatever label or platform a tenant names.
fn in_region(tenant: &Tenant, platform: &SharedPlatform) -> Result<(), Unplaced> {
    match &tenant.spec.region {
        Some(region) if *region != platform.spec.region => Err(Unplaced {
            reason: reason::NO_PLATFORM_IN_REGION,
            message: format!(
                "SharedPlatform {} is in region {}, but the tenant must stay in {region}; name a platform there",
                platform.name_any(),
                platform.spec.region
            ),
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
    let alive = || platforms.iter().map(AsRef::as_ref).filter(|one| one.metadata.deletion_timestamp.is_none());
    let full = |names: &str| Unplaced {
        reason: reason::NO_CAPACITY,
        message: format!("{names} full; raise capacity.tenants or create another SharedPlatform in the region"),
    };

    if let Some(name) = &tenant.spec.deployment.platform {
        let platform = alive().find(|one| one.name_any() == *name).ok_or_else(|| not_found(name))?;
        in_region(tenant, platform)?;
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
            .map(|n| {
                placement.place(&tenant(&format!("t{n}"), &serde_json::json!({})), std::iter::empty(), &platforms, &[])
            })
            .collect();
        assert_eq!(placed.iter().filter(|one| one.as_deref() == Ok("a")).count(), 2);
        assert_eq!(placed.iter().filter(|one| one.as_deref() == Ok("b")).count(), 1);
        assert_eq!(placed[3].as_ref().unwrap_err().reason, reason::NO_CAPACITY);
    }

    #[test]
    fn data_stays_in_its_region() {
        let placement = Placement::default();
        let wanted = tenant("t", &serde_json::json!({"region": "us"}));
        let error = placement.place(&wanted, std::iter::empty(), &[platform("a", "eu", 2)], &[]).unwrap_err();
        assert_eq!(error.reason, reason::NO_PLATFORM_IN_REGION);
        let named = tenant("t", &serde_json::json!({"region": "us", "deployment": {"platform": "a"}}));
        let error = placement.place(&named, std::iter::empty(), &[platform("a", "eu", 2)], &[]).unwrap_err();
        assert_eq!(error.reason, reason::NO_PLATFORM_IN_REGION);
    }

    #[test]
    fn a_placed_tenant_stays_even_when_the_platform_is_full() {
        let mut placed = tenant("t", &serde_json::json!({}));
        placed.labels_mut().insert(labels::PLATFORM.into(), "a".into());
        let placement = Placement::default();
        assert_eq!(
            placement.place(&placed, std::iter::empty(), &[platform("a", "eu", 0), platform("b", "eu", 9)], &[]),
            Ok("a".into())
        );
    }

    #[test]
    fn a_tenant_goes_where_its_data_is() {
        let platforms = [platform("a", "eu", 2), platform("b", "eu", 9)];
        let (placement, holders) = (Placement::default(), ["a".to_owned()]);
        let free = tenant("t", &serde_json::json!({}));
        assert_eq!(placement.place(&free, std::iter::empty(), &platforms, &holders), Ok("a".into()));
        let named = tenant("t", &serde_json::json!({"deployment": {"platform": "b"}}));
        let refused = placement.place(&named, std::iter::empty(), &platforms, &holders).unwrap_err();
        assert_eq!(refused.reason, reason::RETAINED_DATA);
    }
}
