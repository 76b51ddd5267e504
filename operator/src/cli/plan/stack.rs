//! What would change of the objects of a platform or an instance. Pure.

use easycode_crds::{Tenant, platform::ServiceStatus, release::ReleasedService};
use kube::{ResourceExt, api::DynamicObject};

use super::changes::{Change, Key, Live, Section, key_of};
use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    stack::{
        blueprint::{Blueprint, Server},
        plan::{self, migration, network, postgres, service, workload},
    },
    tenant::placement::placed_on,
};

/// What the cluster knows of a stack.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Its services, by its status.
    pub services: &'a [ServiceStatus],
    /// All tenants.
    pub tenants: &'a [Tenant],
    /// The objects in its namespace.
    pub live: &'a Live,
}

/// Plans a stack.
#[must_use]
pub fn section(blueprint: &Blueprint, known: Known) -> Section {
    let mut section = Section { title: blueprint.home.to_string(), ..Section::default() };
    if known.leaving {
        section.notes.push("it is being deleted, so nothing of this is made".to_owned());
    }
    let planned = plan::objects(blueprint);
    for object in &planned {
        let released = (object.kind == Kind::Job).then(|| released_by_job(blueprint, &object.name)).flatten();
        if released.is_some_and(|released| !is_due(blueprint, released, known)) {
            continue;
        }
        let present = known.live.get(&key(object));
        let (object, pending) = match present {
            // Where names are resolved only the operator sees, by its own pod.
            Some(present) if is_way_to_dns(object) => (as_it_is(object, present), false),
            Some(present) => as_applied(blueprint, object, &workload::annotations(present)),
            None => (object.clone(), false),
        };
        let mut change = Change::of(&object, present);
        if pending {
            change.details.push(format!(
                "this version renders it differently; applied with the next release, or with annotation {}",
                labels::APPLY_PENDING
            ));
        }
        section.changes.push(change);
    }
    section.changes.extend(removals(&planned, known.live));
    section
}

/// What is said of a stack whose release does not exist.
#[must_use]
pub fn without_release(title: String, why: String) -> Section {
    Section { title, notes: vec![why], ..Section::default() }
}

fn is_way_to_dns(object: &Planned) -> bool {
    object.kind == Kind::NetworkPolicy && object.name == network::DNS
}

fn as_it_is(object: &Planned, present: &DynamicObject) -> Planned {
    let mut kept = object.clone();
    kept.body["spec"].clone_from(&present.data["spec"]);
    kept
}

fn key(object: &Planned) -> Key {
    (object.kind, object.namespace.clone(), object.name.clone())
}

fn released_by_job<'a>(blueprint: &Blueprint<'a>, job: &str) -> Option<&'a ReleasedService> {
    blueprint.services().into_iter().find(|released| migration::job_name(blueprint, released) == job)
}

/// Whether the service's migrations are still to run, as far as the status of the stack and its tenants tells.
fn is_due(blueprint: &Blueprint, released: &ReleasedService, known: Known) -> bool {
    let services = known.services.iter().filter(|one| one.service == released.name);
    let published = services.map(|one| one.schema_version).max();
    let is_behind = |tenant: &Tenant| {
        let schemas = tenant.status.iter().flat_map(|status| &status.services);
        placed_on(tenant).as_ref() == Some(&blueprint.home)
            && schemas.filter(|one| one.service == released.name).any(|one| Some(one.schema_version) < published)
    };
    published.is_none_or(|version| version < released.schema_version) || known.tenants.iter().any(is_behind)
}

/// The object as the operator would apply it over the live one, which keeps a workload's rendering where it may, and
/// whether another rendering waits.
fn as_applied(blueprint: &Blueprint, object: &Planned, annotations: &serde_json::Value) -> (Planned, bool) {
    let (rendered, pending) = match (object.kind, &blueprint.server) {
        (Kind::StatefulSet, Server::Embedded(settings)) => postgres::objects(blueprint, settings, Some(annotations)),
        (Kind::Deployment, _) => match blueprint.services().into_iter().find(|released| released.name == object.name) {
            Some(released) => service::objects(blueprint, released, Some(annotations)),
            None => return (object.clone(), false),
        },
        _ => return (object.clone(), false),
    };
    let kept = rendered.into_iter().find(|one| one.kind == object.kind && one.name == object.name);
    (kept.unwrap_or_else(|| object.clone()), pending)
}

/// What the operator would take away: the workloads of services that are no longer to run, and an Ingress that the spec no
/// longer asks for.
fn removals(planned: &[Planned], live: &Live) -> Vec<Change> {
    let is_planned = |key: &Key| planned.iter().any(|object| object.kind == key.0 && object.name == key.2);
    live.iter()
        .filter(|((kind, ..), object)| match kind {
            Kind::Ingress => true,
            kind if service::KINDS.contains(kind) => {
                object.labels().get("app.kubernetes.io/component").is_some_and(|component| component == "service")
            }
            _ => false,
        })
        .map(|((kind, ..), object)| key_of(*kind, object))
        .filter(|key| !is_planned(key))
        .map(|key| Change::removal(&key))
        .collect()
}

#[cfg(test)]
mod tests {
    use easycode_crds::{Release, SharedPlatform};
    use serde_json::json;

    use super::*;
    use crate::{
        cli::plan::changes::Sign,
        kubernetes::object::short_hash,
        platform::plan::blueprint,
        stack::{blueprint::Operator, home::Home, names::Names},
    };

    fn operator() -> Operator {
        Operator {
            namespace: "o".into(),
            service_account: "o".into(),
            namespace_role: "o".into(),
            cloudnative_pg_namespace: "o".into(),
            names: Names::default(),
        }
    }

    fn platform(services: &serde_json::Value) -> SharedPlatform {
        let spec =
            json!({ "region": "eu", "domain": "x.test", "release": "r1", "identity": { "issuer": "i", "jwks": "{}" } });
        let mut platform = SharedPlatform::new("eu1", serde_json::from_value(spec).unwrap());
        platform.status = Some(serde_json::from_value(json!({ "services": services })).unwrap());
        platform
    }

    fn release(image: &str) -> Release {
        let services = json!([{ "name": "tenant-service", "image": image, "schemaVersion": 2 }]);
        Release::new("r1", serde_json::from_value(json!({ "version": "1.0.0", "services": services })).unwrap())
    }

    fn section(platform: &SharedPlatform, release: &Release, tenants: &[Tenant], live: &Live) -> Section {
        let operator = operator();
        let services = platform.status.as_ref().map(|status| status.services.as_slice()).unwrap_or_default();
        let known = Known { leaving: false, services, tenants, live };
        super::section(&blueprint(platform, release, &operator), known)
    }

    fn applied(section_of: &Release) -> Live {
        plan::objects(&blueprint(&platform(&json!([])), section_of, &operator()))
            .iter()
            .filter(|object| object.kind != Kind::Job)
            .map(|object| (key(object), serde_json::from_value(object.body.clone()).unwrap()))
            .collect()
    }

    fn signs(section: &Section, sign: Sign) -> Vec<&str> {
        section.changes.iter().filter(|change| change.sign == sign).map(|change| change.what.as_str()).collect()
    }

    #[test]
    fn at_rest_nothing_changes_and_migrations_that_have_run_are_not_shown() {
        let published = json!([{ "service": "tenant-service", "schemaVersion": 2 }]);
        let release = release("a:1");
        let section = section(&platform(&published), &release, &[], &applied(&release));
        assert!(section.changes.len() > 10);
        assert_eq!(signs(&section, Sign::Keep).len(), section.changes.len());
    }

    #[test]
    fn a_tenant_that_is_behind_makes_the_migrations_due() {
        let published = json!([{ "service": "tenant-service", "schemaVersion": 2 }]);
        let mut tenant = Tenant::new("acme", serde_json::from_value(json!({ "displayName": "Acme" })).unwrap());
        let services = json!([{ "service": "tenant-service", "schemaVersion": 1 }]);
        tenant.status = Some(serde_json::from_value(json!({ "platform": "eu1", "services": services })).unwrap());
        let release = release("a:1");
        let section = section(&platform(&published), &release, &[tenant], &applied(&release));
        let created = signs(&section, Sign::Create);
        assert!(
            matches!(created.as_slice(), [job] if job.starts_with("Job easycode-platform-eu1/migrate-tenant-service-"))
        );
    }

    #[test]
    fn a_new_image_changes_the_workload_alone() {
        let published = json!([{ "service": "tenant-service", "schemaVersion": 2 }]);
        let section = section(&platform(&published), &release("a:2"), &[], &applied(&release("a:1")));
        assert_eq!(signs(&section, Sign::Change), ["Deployment easycode-platform-eu1/tenant-service"]);
        let change = section.changes.iter().find(|change| change.sign == Sign::Change).unwrap();
        assert_eq!(change.details, ["spec.template.spec.containers[0].image"]);
    }

    #[test]
    fn another_rendering_by_another_version_waits() {
        let published = json!([{ "service": "tenant-service", "schemaVersion": 2 }]);
        let release = release("a:1");
        let mut live = applied(&release);
        let at = (Kind::Deployment, "easycode-platform-eu1".to_owned(), "tenant-service".to_owned());
        let older = live.get_mut(&at).unwrap();
        // As a version would have left it that rendered without the deadline.
        let mut rendering: serde_json::Value = serde_json::from_str(&older.annotations()[labels::RENDERED]).unwrap();
        rendering["spec"].as_object_mut().unwrap().remove("progressDeadlineSeconds");
        let inputs = older.annotations()[labels::INPUTS].split('.').next().unwrap().to_owned();
        older.data["spec"].as_object_mut().unwrap().remove("progressDeadlineSeconds");
        older.annotations_mut().insert(labels::RENDERED.into(), rendering.to_string());
        let mark = format!("{inputs}.{}", short_hash(&rendering));
        older.annotations_mut().insert(labels::INPUTS.into(), mark);

        let section = section(&platform(&published), &release, &[], &live);
        assert_eq!(signs(&section, Sign::Keep).len(), section.changes.len());
        let waiting: Vec<_> = section.changes.iter().filter(|change| !change.details.is_empty()).collect();
        assert!(matches!(waiting.as_slice(), [change] if change.details[0].contains("renders it differently")));
    }

    #[test]
    fn workloads_of_a_service_that_left_the_release_go() {
        let published = json!([{ "service": "tenant-service", "schemaVersion": 2 }]);
        let release = release("a:1");
        let mut live = applied(&release);
        for kind in [Kind::Deployment, Kind::StatefulSet] {
            let labels = Home::Platform("eu1".to_owned()).service_labels("pos", "0.9.0");
            let body = Planned::new(kind, "easycode-platform-eu1", "pos", json!({ "metadata": { "labels": labels } }));
            live.insert(key(&body), serde_json::from_value(body.body).unwrap());
        }
        let section = section(&platform(&published), &release, &[], &live);
        assert_eq!(signs(&section, Sign::Delete), ["Deployment easycode-platform-eu1/pos"]);
    }
}
