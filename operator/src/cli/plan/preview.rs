//! What a change of custom resources would lead to, by those resources alone: what the present ones are planned as is taken for
//! what is live. For who may see no other objects. Pure.

use std::sync::Arc;

use easycode_crds::{DedicatedInstance, Tenant};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    catalogue::Catalogue,
    changes::{Live, Section},
    stack::{self, Known},
    tenant::{self, Planner},
};
use crate::{
    instance,
    kubernetes::object::{Kind, Planned},
    stack::{blueprint::Operator, home::Home, plan as stack_plan},
};

/// What the operator would make of these tenants and instances, once they are applied to the cluster.
#[must_use]
pub fn preview(wanted: Catalogue, cluster: &Catalogue, operator: &Operator, now: Timestamp) -> Vec<Section> {
    let wanted = wanted.applied_to(cluster);
    let offer = wanted.offer_over(cluster);
    let instances = wanted.instances.iter().map(|one| of_instance(one, &wanted, &offer, cluster, operator));
    let mut sections: Vec<_> = instances.collect();
    let (planner, present) = (Planner::new(&wanted, cluster), Catalogue::default());
    let as_it_is = Planner::new(&present, cluster);
    for tenant in &wanted.tenants {
        let before = cluster.tenant(&tenant.name_any()).map(|known| as_it_is.plan(known, now));
        let live = before.map(|plan| live(plan.config_map)).unwrap_or_default();
        sections.push(tenant::section(tenant, &planner.plan(tenant, now), &live));
    }
    sections
}

fn of_instance(
    instance: &Arc<DedicatedInstance>,
    wanted: &Catalogue,
    offer: &Catalogue,
    cluster: &Catalogue,
    operator: &Operator,
) -> Section {
    let release = match offer.wanted(&instance.spec.release) {
        Ok(release) => release,
        Err(why) => {
            return stack::without_release(Home::Instance(instance.name_any()).to_string(), why.message);
        }
    };
    let name = &instance.spec.tenant_ref.name;
    let present = cluster.instance(&instance.name_any());
    let before = present.and_then(|known| Some((known, cluster.wanted(&known.spec.release).ok()?)));
    let live = before.map(|(known, release)| {
        let tenant: Option<&Tenant> = cluster.tenant(name);
        live(stack_plan::objects(&instance::plan::blueprint(known, tenant, &release, operator)))
    });
    let tenant = wanted.tenant(name).or_else(|| cluster.tenant(name));
    let blueprint = instance::plan::blueprint(instance, tenant, &release, operator);
    let services = instance.status.as_ref().map(|status| status.services.as_slice()).unwrap_or_default();
    let leaving = instance.metadata.deletion_timestamp.is_some();
    let known = Known { leaving, services, tenants: &cluster.tenants, live: &live.unwrap_or_default() };
    stack::section(&blueprint, known)
}

/// Planned objects as if they were there. Jobs come and go with what is due.
fn live(planned: impl IntoIterator<Item = Planned>) -> Live {
    let lasting = planned.into_iter().filter(|object| object.kind != Kind::Job);
    let entries = lasting.filter_map(|object| {
        let live = serde_json::from_value(object.body).ok()?;
        Some(((object.kind, object.namespace, object.name), live))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use easycode_crds::{Release, SharedPlatform};
    use serde_json::{Value, json};

    use super::*;
    use crate::{cli::plan::changes::Sign, stack::names::Names};

    fn cluster() -> Catalogue {
        let services = json!([
            { "name": "tenant-service", "image": "t:1", "schemaVersion": 1 },
            { "name": "crm", "image": "c:1", "schemaVersion": 1 },
        ]);
        let release = Release::new("r1", from(&json!({ "version": "1.0.0", "services": services })));
        let identity = json!({ "issuer": "i", "jwks": "{}" });
        let spec = json!({ "region": "eu", "domain": "x.test", "release": "r1", "identity": identity });
        let mut platform = SharedPlatform::new("eu1", from(&spec));
        let status = json!({ "release": "r1", "services": [{ "service": "crm", "schemaVersion": 1 }, { "service": "tenant-service", "schemaVersion": 1 }] });
        platform.status = Some(from(&status));
        Catalogue { platforms: vec![Arc::new(platform)], releases: vec![Arc::new(release)], ..Catalogue::default() }
    }

    fn from<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn tenant(users: u32) -> Tenant {
        Tenant::new("acme", from(&json!({ "displayName": "Acme", "limits": { "users": users } })))
    }

    fn instance(replicas: u32) -> Arc<DedicatedInstance> {
        let spec = json!({
            "tenantRef": { "name": "acme" }, "release": { "version": "1.0.0" }, "location": { "region": "eu" },
            "identity": { "issuer": "i", "jwks": "{}" }, "services": [{ "name": "tenant-service", "replicas": replicas }],
        });
        Arc::new(DedicatedInstance::new("acme", from(&spec)))
    }

    fn previewed(wanted: Catalogue, cluster: &Catalogue) -> Vec<Section> {
        let name = String::from("o");
        let operator = Operator {
            namespace: name.clone(),
            service_account: name.clone(),
            namespace_role: name.clone(),
            cloudnative_pg_namespace: name,
            names: Names::default(),
        };
        preview(wanted, cluster, &operator, Timestamp::UNIX_EPOCH)
    }

    fn differing(section: &Section) -> Vec<String> {
        let changes = section.changes.iter().filter(|change| change.sign != Sign::Keep);
        changes.map(|change| format!("{} {}", change.sign, change.what)).collect()
    }

    #[test]
    fn a_changed_limit_changes_the_tenants_config_alone() {
        let mut cluster = cluster();
        let wanted = |users| Catalogue { tenants: vec![tenant(users)], ..Catalogue::default() };
        let made = previewed(wanted(5), &cluster);
        assert!(differing(&made[0]).contains(&"+ ConfigMap easycode-platform-eu1/tenant-acme".to_owned()));
        let mut present = tenant(5);
        present.status = Some(from(&json!({ "platform": "eu1", "services": [] })));
        cluster.tenants.push(present);
        let changed = previewed(wanted(6), &cluster);
        assert!(differing(&changed[0]).contains(&"~ ConfigMap easycode-platform-eu1/tenant-acme".to_owned()));
    }

    #[test]
    fn a_new_instance_is_made_whole_and_a_changed_one_differs_where_it_changed() {
        let mut cluster = cluster();
        let wanted = |replicas| Catalogue { instances: vec![instance(replicas)], ..Catalogue::default() };
        let made = differing(&previewed(wanted(1), &cluster)[0]);
        assert!(made.contains(&"+ Namespace easycode-instance-acme".to_owned()), "{made:?}");
        assert!(made.iter().all(|line| line.starts_with('+')), "{made:?}");
        cluster.instances.push(instance(1));
        let changed = differing(&previewed(wanted(2), &cluster)[0]);
        assert!(changed.contains(&"~ Deployment easycode-instance-acme/tenant-service".to_owned()), "{changed:?}");
        assert!(changed.iter().all(|line| !line.contains("Namespace")), "{changed:?}");
    }
}
