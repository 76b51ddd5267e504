//! What would change of a tenant: the steps in Postgres and its ConfigMap. Pure.

use std::{collections::BTreeMap, sync::Arc};

use easycode_contract::database::Identifier;
use easycode_crds::{Tenant, tenant::State};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    catalogue::Catalogue,
    changes::{Change, Live, Section, Sign},
};
use crate::{
    postgres::{plan::Step, survey::TenantData},
    stack::home::Home,
    tenant::{
        observe::{DatabaseView, Observed, Residence},
        placement::{Offer, Placement},
        plan::{self, Plan},
    },
};

/// Plans tenants of files, given what else there is.
pub struct Planner<'a> {
    files: &'a Catalogue,
    cluster: &'a Catalogue,
    offer: Catalogue,
    placement: Placement,
}

impl<'a> Planner<'a> {
    /// A planner for a cluster to which the files would be applied.
    #[must_use]
    pub fn new(files: &'a Catalogue, cluster: &'a Catalogue) -> Self {
        Self { files, cluster, offer: files.offer_over(cluster), placement: Placement::default() }
    }

    /// Plans one tenant. A platform or an instance that is planned, too, is taken as brought to its plan; any other as it is.
    #[must_use]
    pub fn plan(&self, tenant: &Tenant, now: Timestamp) -> Plan {
        let offer = Offer { platforms: &self.offer.platforms, instances: &self.offer.instances, holders: &[] };
        let home = match self.placement.place(tenant, self.cluster.tenants.iter(), &offer) {
            Ok(home) => home,
            Err(why) => {
                let observed = Observed { residence: Err(why), release: None, database: None, trouble: None };
                return plan::plan(tenant, &observed, now);
            }
        };
        let (residence, is_planned, spec, status) = match &home {
            Home::Platform(name) => {
                let platform = self.offer.platform(name);
                let status = platform.and_then(|one| one.status.as_ref());
                let status = status.map(|status| (status.release.as_deref(), status.services.as_slice()));
                let spec = platform.map(|one| one.spec.release.clone());
                (platform.map(|one| Residence::on_platform(one)), self.files.platform(name).is_some(), spec, status)
            }
            Home::Instance(name) => {
                let instance = self.offer.instance(name);
                let status = instance.and_then(|one| one.status.as_ref());
                let status = status.map(|status| (status.release.as_deref(), status.services.as_slice()));
                let wanted = instance.and_then(|one| self.offer.wanted(&one.spec.release).ok());
                let spec = wanted.map(|release| release.name_any());
                (
                    instance.map(|one| Residence::on_instance(one, tenant)),
                    self.files.instance(name).is_some(),
                    spec,
                    status,
                )
            }
        };
        let residence = residence.map(|one| if is_planned { Residence { unavailable: None, ..one } } else { one });
        let status = status.filter(|_| !is_planned);
        let release =
            status.and_then(|(running, _)| running).or(spec.as_deref()).and_then(|name| self.offer.release(name));
        let services = release.iter().flat_map(|release| &release.spec.services);
        let published: BTreeMap<_, _> = match status {
            Some((_, services)) => services.iter().map(|one| (one.service.clone(), one.schema_version)).collect(),
            None => services.map(|one| (one.name.clone(), one.schema_version)).collect(),
        };
        let known = self.cluster.tenant(&tenant.name_any());
        let database = DatabaseView { tenant: known.map(recorded).unwrap_or_default(), published };
        let observed = Observed {
            residence: Ok(residence.expect("placed on what is on offer")),
            release: release.map(Arc::clone),
            database: Some(database),
            trouble: None,
        };
        plan::plan(tenant, &observed, now)
    }
}

/// What a tenant's status says that it has in the database. Only the operator asks the database itself.
fn recorded(known: &Tenant) -> TenantData {
    let Some(status) = known.status.as_ref().filter(|status| !status.services.is_empty()) else {
        return TenantData::default();
    };
    let display_name = Some(known.spec.display_name.clone());
    let mut data = TenantData { role_exists: true, uid: known.uid(), display_name, ..TenantData::default() };
    let login = |made: Result<Identifier, _>| made.ok().map(|name| name.as_str().to_owned());
    for service in &status.services {
        data.schemas.insert(service.service.clone(), service.schema_version);
        data.members.extend(login(Identifier::migration_login(&service.service)));
        if service.entitled && known.spec.state == State::Active {
            data.members.extend(login(Identifier::service_login(&service.service)));
        }
        if let Some(until) = service.retained_until.as_ref().and_then(|until| until.parse().ok()) {
            data.withdrawn.insert(service.service.clone(), until);
        }
    }
    data
}

/// The plan as a person reads it, compared with what is live.
#[must_use]
pub fn section(tenant: &Tenant, plan: &Plan, live: &Live) -> Section {
    let mut notes = Vec::new();
    if tenant.metadata.deletion_timestamp.is_some() {
        notes.push("it is being deleted, so nothing of this is made".to_owned());
    }
    let unwell = plan.findings.iter().filter(|finding| finding.status != Some(true));
    notes.extend(unwell.map(|finding| format!("{}: {}", finding.reason, finding.message)));
    let place = plan.home.as_ref().map_or_else(String::new, |home| format!(" on {home}"));
    let is_new = plan.steps.contains(&Step::CreateRole);
    let mut changes: Vec<_> = plan
        .steps
        .iter()
        .map(|step| Change { sign: sign(step, is_new), what: format!("Postgres: {step}"), details: Vec::new() })
        .collect();
    changes.extend(
        plan.config_map
            .iter()
            .map(|object| Change::of(object, live.get(&(object.kind, object.namespace.clone(), object.name.clone())))),
    );
    Section { title: format!("Tenant {}{place}", tenant.name_any()), notes, changes }
}

fn sign(step: &Step, is_new: bool) -> Sign {
    match step {
        Step::CreateRole | Step::Grant { .. } | Step::Provision { .. } => Sign::Create,
        Step::Register { .. } if is_new => Sign::Create,
        Step::Register { .. } | Step::Withdraw { .. } | Step::EndWithdrawal { .. } | Step::Retain => Sign::Change,
        Step::Revoke { .. } | Step::Erase { .. } | Step::Forget => Sign::Delete,
    }
}

#[cfg(test)]
mod tests {
    use easycode_crds::{Release, SharedPlatform};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn release(name: &str, schema: i32) -> Arc<Release> {
        let services = json!([
            { "name": "tenant-service", "image": "t:1", "schemaVersion": 1 },
            { "name": "crm", "image": "c:1", "schemaVersion": schema },
        ]);
        let spec = serde_json::from_value(json!({ "version": "1.0.0", "services": services })).unwrap();
        Arc::new(Release::new(name, spec))
    }

    fn platform(release: &str) -> SharedPlatform {
        let spec = json!({ "region": "eu", "domain": "x.test", "release": release, "identity": { "issuer": "i", "jwks": "{}" } });
        SharedPlatform::new("eu1", serde_json::from_value(spec).unwrap())
    }

    fn tenant(spec: &Value) -> Tenant {
        let mut full = json!({ "displayName": "Acme", "entitlements": [{ "service": "crm" }] });
        full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Tenant::new("acme", serde_json::from_value(full).unwrap())
    }

    /// A cluster in which the tenant is ready.
    fn cluster() -> Catalogue {
        let services =
            json!([{ "service": "crm", "schemaVersion": 1 }, { "service": "tenant-service", "schemaVersion": 1 }]);
        let mut platform = platform("r1");
        platform.status = Some(serde_json::from_value(json!({ "release": "r1", "services": services })).unwrap());
        let mut tenant = tenant(&json!({}));
        let mut entitled = services;
        entitled.as_array_mut().unwrap().iter_mut().for_each(|service| service["entitled"] = true.into());
        tenant.metadata.uid = Some("u1".into());
        tenant.metadata.generation = Some(1);
        tenant.status = Some(serde_json::from_value(json!({ "platform": "eu1", "services": entitled })).unwrap());
        Catalogue {
            tenants: vec![tenant],
            platforms: vec![Arc::new(platform)],
            releases: vec![release("r1", 1)],
            ..Catalogue::default()
        }
    }

    fn planned(spec: &Value, mut files: Catalogue, cluster: &Catalogue) -> Section {
        files.tenants.push(tenant(spec));
        let files = files.applied_to(cluster);
        let tenant = &files.tenants[0];
        section(tenant, &Planner::new(&files, cluster).plan(tenant, NOW), &Live::new())
    }

    fn lines(section: &Section) -> Vec<String> {
        let steps = section.changes.iter().filter(|change| change.what.starts_with("Postgres"));
        steps.map(|change| format!("{} {}", change.sign, change.what)).collect()
    }

    #[test]
    fn a_tenant_that_is_as_in_the_file_needs_no_step() {
        let section = planned(&json!({}), Catalogue::default(), &cluster());
        assert_eq!((section.notes.len(), lines(&section)), (0, vec![]));
        assert_eq!(section.title, "Tenant acme on SharedPlatform eu1");
    }

    #[test]
    fn a_suspension_and_its_end_close_and_open_access() {
        let cluster = cluster();
        let suspended = planned(&json!({ "state": "Suspended" }), Catalogue::default(), &cluster);
        assert_eq!(
            lines(&suspended),
            [
                "- Postgres: stop svc_crm from acting as the tenant",
                "- Postgres: stop svc_tenant_service from acting as the tenant",
            ]
        );
        let mut after = cluster;
        after.tenants[0].spec.state = State::Suspended;
        let resumed = planned(&json!({}), Catalogue::default(), &after);
        assert_eq!(
            lines(&resumed),
            ["+ Postgres: let svc_crm act as the tenant", "+ Postgres: let svc_tenant_service act as the tenant",]
        );
    }

    #[test]
    fn a_platform_of_the_files_counts_as_brought_to_its_plan_and_one_of_the_cluster_as_it_is() {
        let mut cluster = cluster();
        cluster.releases.push(release("r2", 2));
        let moved = Catalogue { platforms: vec![Arc::new(platform("r2"))], ..Catalogue::default() };
        let section = planned(&json!({}), moved, &cluster);
        assert_eq!(lines(&section), ["+ Postgres: create and migrate the schema in crm"]);

        cluster.platforms =
            vec![Arc::new(SharedPlatform { status: cluster.platforms[0].status.clone(), ..platform("r2") })];
        let section = planned(&json!({}), Catalogue::default(), &cluster);
        assert_eq!(lines(&section), Vec::<String>::new());
    }

    #[test]
    fn what_keeps_a_tenant_from_being_ready_is_noted() {
        let section = planned(&json!({ "entitlements": [{ "service": "pos" }] }), Catalogue::default(), &cluster());
        assert_eq!(section.notes, ["UnknownService: release 1.0.0 has no service pos; it has crm"]);
        let section = planned(&json!({ "region": "us" }), Catalogue::default(), &Catalogue::default());
        assert!(section.notes[0].starts_with("NoPlatformInRegion: "));
        assert!(section.changes.is_empty());
    }
}
