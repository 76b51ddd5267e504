//! Snapshots of what is planned for tenants, in each situation that a plan knows.

use std::{collections::BTreeMap, sync::Arc};

use easycode_contract::database::Identifier;
use easycode_crds::{Release, Tenant, TenantStatus, conditions::reason, tenant::State};
use easycode_operator::{
    kubernetes::labels,
    postgres::{
        Error,
        plan::{Step, outcome},
        survey::TenantData,
    },
    tenant::{
        observe::{DatabaseView, Observed, Residence},
        placement::Unplaced,
        plan::{Plan, plan},
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::examples::{assert_snapshot, catalogue};

const UID: &str = "6b1c9d52-0000-4000-8000-000000000001";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// A tenant, and all that its plan is made from.
struct Scene {
    tenant: Tenant,
    residence: Result<Residence, Unplaced>,
    release: Arc<Release>,
    database: Option<DatabaseView>,
    trouble: Option<Error>,
}

impl Scene {
    /// A tenant of the examples that was just created, on a platform or an instance that is ready.
    fn fresh(name: &str) -> Self {
        let catalogue = catalogue();
        let mut tenant = catalogue.tenant(name).unwrap().clone();
        tenant.metadata.uid = Some(UID.to_owned());
        tenant.metadata.generation = Some(1);
        let platform = &catalogue.platforms[0];
        let residence = match &tenant.spec.deployment.instance {
            Some(name) => {
                let instance = catalogue.instance(name).unwrap();
                Residence { unavailable: None, ..Residence::on_instance(instance, &tenant) }
            }
            None => Residence::on_platform(platform),
        };
        let release = Arc::clone(catalogue.release(&platform.spec.release).unwrap());
        let published = release.spec.services.iter().map(|one| (one.name.clone(), one.schema_version)).collect();
        let database = Some(DatabaseView { tenant: TenantData::default(), published });
        Self { tenant, residence: Ok(residence), release, database, trouble: None }
    }

    /// The same after its first plan was applied, a generation later.
    fn served(name: &str) -> Self {
        let mut scene = Self::fresh(name);
        let plan = scene.plan();
        let published = scene.database().published.clone();
        scene.database().tenant = outcome(&plan.database, &plan.steps, &published, now());
        let services: Vec<_> = scene
            .database()
            .tenant
            .schemas
            .iter()
            .map(|(service, version)| json!({ "service": service, "schemaVersion": version, "entitled": true }))
            .collect();
        scene.tenant.status =
            Some(serde_json::from_value::<TenantStatus>(json!({ "platform": "eu1", "services": services })).unwrap());
        scene.tenant.metadata.generation = Some(2);
        scene
    }

    fn database(&mut self) -> &mut DatabaseView {
        self.database.as_mut().unwrap()
    }

    fn plan(&self) -> Plan {
        let observed = Observed {
            residence: self.residence.clone(),
            release: Some(Arc::clone(&self.release)),
            database: self.database.clone(),
            trouble: self.trouble.clone(),
        };
        plan(&self.tenant, &observed, now())
    }

    fn assert_snapshot(&self, name: &str) {
        assert_snapshot(&format!("tenant-{name}"), &text(&self.plan()));
    }
}

/// All of a plan as YAML; what is empty is left out.
fn text(plan: &Plan) -> String {
    let findings = plan.findings.iter().map(|one| {
        let status = one.status.map_or("Unknown".to_owned(), |status| if status { "True" } else { "False" }.to_owned());
        format!("{}={status} {}: {}", one.type_, one.reason, one.message)
    });
    let steps = plan.steps.iter().map(|step| match plan.role.as_ref().and_then(|role| step.statement(role)) {
        Some(statement) => json!({ step.to_string(): statement }),
        None => json!(step.to_string()),
    });
    let config_map = plan.config_map.as_ref().map(|object| {
        let mut body = object.body.clone();
        for document in body["data"].as_object_mut().unwrap().values_mut() {
            *document = serde_json::from_str(document.as_str().unwrap()).unwrap();
        }
        body
    });
    let closes = plan.steps.iter().any(Step::closes_access);
    let sections: [(&str, Value); 9] = [
        ("home", json!(plan.home.as_ref().map(ToString::to_string))),
        ("findings", findings.collect()),
        ("role", json!(plan.role.as_ref().map(Identifier::as_str))),
        ("entitled", json!(plan.entitled)),
        ("first", json!(closes.then_some("configMap, since a step closes access"))),
        ("steps", steps.collect()),
        ("configMap", json!(config_map)),
        ("endpoint", json!(plan.endpoint)),
        ("nextLookSeconds", json!(plan.next_look.map(|wait| wait.as_secs()))),
    ];
    let is_empty = |value: &Value| {
        value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    sections
        .into_iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| serde_saphyr::to_string(&BTreeMap::from([(name, value)])).unwrap())
        .collect()
}

#[test]
fn the_tenants_of_the_examples_when_created() {
    let catalogue = catalogue();
    assert!(!catalogue.tenants.is_empty());
    for tenant in &catalogue.tenants {
        Scene::fresh(&tenant.name_any()).assert_snapshot(&tenant.name_any());
    }
}

#[test]
fn a_tenant_that_is_served_as_specified() {
    Scene::served("aurora").assert_snapshot("at-rest");
}

#[test]
fn a_service_that_is_withdrawn() {
    let mut scene = Scene::served("aurora");
    scene.tenant.spec.entitlements.clear();
    scene.assert_snapshot("service-withdrawn");
}

#[test]
fn a_withdrawn_service_whose_retention_is_over() {
    let mut scene = Scene::served("aurora");
    scene.tenant.spec.entitlements.clear();
    let (plan, published) = (scene.plan(), scene.database().published.clone());
    scene.database().tenant = outcome(&plan.database, &plan.steps, &published, now());
    let over = now() - SignedDuration::from_secs(1);
    scene.database().tenant.withdrawn.values_mut().for_each(|until| *until = over);
    scene.assert_snapshot("service-withdrawn-retention-over");
}

#[test]
fn a_tenant_that_is_suspended() {
    let mut scene = Scene::served("aurora");
    scene.tenant.spec.state = State::Suspended;
    scene.assert_snapshot("suspended");
}

#[test]
fn an_entitlement_to_what_the_release_lacks() {
    let mut scene = Scene::fresh("aurora");
    scene.tenant.spec.entitlements[0].modules = vec!["campaigns".into(), "telepathy".into()];
    scene.assert_snapshot("unknown-module");
    scene.tenant.spec.entitlements[0].service = "astrology".into();
    scene.assert_snapshot("unknown-service");
}

#[test]
fn data_of_a_deleted_namesake() {
    let mut scene = Scene::served("aurora");
    scene.database().tenant.uid = Some("6b1c9d52-0000-4000-8000-00000000dead".into());
    scene.database().tenant.retained = Some(now() - SignedDuration::from_hours(24));
    scene.database().tenant.members.retain(|login| !login.starts_with("svc_"));
    scene.tenant.status = None;
    scene.assert_snapshot("namesakes-data-retained");
    let adopted = "6b1c9d52-0000-4000-8000-00000000dead".to_owned();
    scene.tenant.annotations_mut().insert(labels::UNDELETE.into(), adopted);
    scene.assert_snapshot("namesakes-data-adopted");
}

#[test]
fn migrations_that_have_not_run_yet() {
    let mut scene = Scene::fresh("aurora");
    scene.database().published.insert("crm".into(), 0);
    scene.assert_snapshot("migrations-not-run");
}

#[test]
fn a_platform_whose_database_is_not_set_up() {
    let mut scene = Scene::fresh("aurora");
    scene.database = None;
    scene.assert_snapshot("database-not-set-up");
}

/// Whatever else it waits for, what was said of the services before must not stay.
#[test]
fn an_instance_that_was_not_looked_at_without_its_database() {
    let mut scene = Scene::fresh("dynamo");
    scene.database = None;
    scene.residence.as_mut().unwrap().unavailable = Some("not looked at while DatabaseReady is False".into());
    scene.assert_snapshot("instance-without-database");
}

#[test]
fn a_suspension_while_the_database_is_down() {
    let mut scene = Scene::served("aurora");
    scene.trouble = Some(Error::Unavailable("connection refused".into()));
    scene.tenant.spec.state = State::Suspended;
    scene.assert_snapshot("suspended-while-database-down");
}

#[test]
fn a_database_without_room() {
    let mut scene = Scene::served("aurora");
    scene.trouble = Some(Error::Full);
    scene.assert_snapshot("database-full");
}

#[test]
fn a_schema_that_vanished() {
    let mut scene = Scene::served("aurora");
    scene.database().tenant.schemas.remove("crm");
    scene.assert_snapshot("data-missing");
    scene.tenant.annotations_mut().insert(labels::RECREATE_DATA.into(), "crm".into());
    scene.assert_snapshot("data-missing-begin-anew");
}

#[test]
fn a_tenant_without_a_platform() {
    let mut scene = Scene::fresh("aurora");
    scene.residence =
        Err(Unplaced { reason: reason::NO_CAPACITY, message: "every fitting SharedPlatform is full".into() });
    scene.assert_snapshot("unplaced");
}
