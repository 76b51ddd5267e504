//! One line of the fleet: a tenant, an instance or a platform, as lists show them. Pure.

use easycode_crds::{
    DedicatedInstance, SharedPlatform, Tenant,
    conditions::READY,
    tenant::{Model, State},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;
use utoipa::ToSchema;

use super::Fleet;

/// Whether something is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// `True`, `False` or `Unknown`.
    pub ready: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Health {
    /// By the condition `Ready`.
    #[must_use]
    pub fn of(conditions: &[Condition]) -> Self {
        match conditions.iter().find(|condition| condition.type_ == READY) {
            Some(ready) => {
                Self { ready: ready.status.clone(), reason: ready.reason.clone(), message: ready.message.clone() }
            }
            None => Self {
                ready: "Unknown".to_owned(),
                reason: "NotSeenYet".to_owned(),
                message: "the operator has not reported on it yet".to_owned(),
            },
        }
    }

    /// Whether it is in use as its spec asks for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready == "True"
    }
}

/// A tenant in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantSummary {
    /// Its name.
    pub name: String,
    /// The company.
    pub display_name: String,
    /// `Shared` or `Dedicated`.
    pub model: &'static str,
    /// `Active` or `Suspended`.
    pub state: &'static str,
    /// Region that its data must stay in.
    pub region: Option<String>,
    /// Platform that serves it.
    pub platform: Option<String>,
    /// Instance that serves it.
    pub instance: Option<String>,
    /// Version that its home runs.
    pub version: Option<String>,
    /// Where its people reach the services.
    pub endpoint: Option<String>,
    /// Whether it is as it should be.
    pub health: Health,
    /// When the last backup of its home was completed, where that is known.
    pub last_backup: Option<String>,
    /// Whether it is being deleted.
    pub leaving: bool,
}

/// An instance in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSummary {
    /// Its name.
    pub name: String,
    /// The tenant that it is for.
    pub tenant: String,
    /// Where it runs.
    pub region: String,
    /// Version that it runs.
    pub version: Option<String>,
    /// Where its people reach the services.
    pub endpoint: Option<String>,
    /// Whether it is as it should be.
    pub health: Health,
    /// When the last backup was completed.
    pub last_backup: Option<String>,
    /// Whether it is being deleted.
    pub leaving: bool,
}

/// A platform in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSummary {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub region: String,
    /// Domain that it is reached at.
    pub domain: String,
    /// Version that it runs.
    pub version: Option<String>,
    /// Tenants that are placed there.
    pub tenants: u32,
    /// Most that may be.
    pub capacity: u32,
    /// Whether it is as it should be.
    pub health: Health,
}

/// The tenant as a line.
#[must_use]
pub fn of_tenant(tenant: &Tenant, fleet: &Fleet) -> TenantSummary {
    let status = tenant.status.clone().unwrap_or_default();
    let instance = status.instance.as_deref().and_then(|name| fleet.instance(name));
    let platform = status.platform.as_deref().and_then(|name| fleet.platform(name));
    let served_by = instance.as_ref().and_then(|one| one.status.as_ref());
    let version = served_by.and_then(|status| status.version.clone());
    TenantSummary {
        name: tenant.name_any(),
        display_name: tenant.spec.display_name.clone(),
        model: model(tenant.spec.deployment.model),
        state: state(tenant.spec.state),
        region: tenant.spec.region.clone(),
        version: version.or_else(|| platform.and_then(|one| version_of(&one, fleet))),
        platform: status.platform,
        instance: status.instance,
        endpoint: status.endpoint,
        health: Health::of(&status.conditions),
        last_backup: served_by.and_then(|status| status.last_backup.clone()),
        leaving: tenant.metadata.deletion_timestamp.is_some(),
    }
}

/// The instance as a line.
#[must_use]
pub fn of_instance(instance: &DedicatedInstance) -> InstanceSummary {
    let status = instance.status.clone().unwrap_or_default();
    InstanceSummary {
        name: instance.name_any(),
        tenant: instance.spec.tenant_ref.name.clone(),
        region: instance.spec.location.region.clone(),
        version: status.version,
        endpoint: status.endpoint,
        health: Health::of(&status.conditions),
        last_backup: status.last_backup,
        leaving: instance.metadata.deletion_timestamp.is_some(),
    }
}

/// The platform as a line.
#[must_use]
pub fn of_platform(platform: &SharedPlatform, fleet: &Fleet) -> PlatformSummary {
    let status = platform.status.as_ref();
    PlatformSummary {
        name: platform.name_any(),
        region: platform.spec.region.clone(),
        domain: platform.spec.domain.clone(),
        version: version_of(platform, fleet),
        tenants: status.map_or(0, |status| u32::try_from(status.tenants).unwrap_or_default()),
        capacity: platform.spec.capacity.tenants,
        health: Health::of(status.map(|status| status.conditions.as_slice()).unwrap_or_default()),
    }
}

fn version_of(platform: &SharedPlatform, fleet: &Fleet) -> Option<String> {
    let name = platform.status.as_ref()?.release.as_deref()?;
    Some(fleet.release(name)?.spec.version.clone())
}

/// The model, as the resource spells it.
#[must_use]
pub fn model(model: Model) -> &'static str {
    match model {
        Model::Shared => "Shared",
        Model::Dedicated => "Dedicated",
    }
}

/// The state, as the resource spells it.
#[must_use]
pub fn state(state: State) -> &'static str {
    match state {
        State::Active => "Active",
        State::Suspended => "Suspended",
    }
}

/// How long ago, in the largest unit that fits, such as `3 h`; `None` for what is no time.
#[must_use]
pub fn age(time: &str, now: Timestamp) -> Option<String> {
    let then: Timestamp = time.parse().ok()?;
    let seconds = now.duration_since(then).as_secs().max(0);
    Some(match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_largest_unit_that_fits() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let told = |time| age(time, now);
        assert_eq!(told("2026-11-26T11:59:30Z").as_deref(), Some("30 s"));
        assert_eq!(told("2026-11-26T11:00:00Z").as_deref(), Some("1 h"));
        assert_eq!(told("2026-11-20T12:00:00Z").as_deref(), Some("6 d"));
        assert_eq!(told("2026-11-26T12:00:09Z").as_deref(), Some("0 s"), "clocks differ a little");
        assert_eq!(told("yesterday"), None);
    }
}
