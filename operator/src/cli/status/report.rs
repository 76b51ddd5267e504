//! What is known of a tenant, judged: the tree and the JSON are two views of it. Pure.

use easycode_contract::{context::TenantContext, runtime};
use easycode_crds::{
    conditions,
    tenant::{ServiceData, State},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ConfigMap, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::ResourceExt;
use serde::Serialize;

use super::observe::Observed;
use crate::{
    stack::home::Home,
    tenant::{config_map_name, placement::placed_on},
};

/// Most events that are shown, the last ones.
const EVENTS: usize = 5;

/// All of a tenant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub tenant: String,
    /// The company's name.
    pub display_name: String,
    /// Whether it is to be served.
    pub state: State,
    /// Generation of its spec.
    pub generation: i64,
    /// Generation that the operator has looked at.
    pub observed_generation: Option<i64>,
    /// Whether it is ready for the newest generation.
    pub ready: bool,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// The platform or the instance it lives on.
    pub home: Option<Residence>,
    /// Its published context, once it was placed.
    pub config_map: Option<Context>,
    /// Its role in Postgres.
    pub database_role: Option<String>,
    /// Where its people reach the services.
    pub endpoint: Option<String>,
    /// Its schemas.
    pub services: Vec<Schema>,
    /// What was told of it last, oldest first.
    pub events: Vec<Told>,
}

/// Where a tenant lives.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Residence {
    /// `SharedPlatform` or `DedicatedInstance`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Whether there is such an object.
    pub exists: bool,
    /// Its region.
    pub region: Option<String>,
    /// The release that all workloads run.
    pub release: Option<String>,
    /// The release that it is to run.
    pub wanted_release: Option<String>,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// How a tenant's published context stands to its spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Freshness {
    /// Derived from the newest generation.
    Current,
    /// Derived from an older generation.
    Behind,
    /// There is no ConfigMap.
    Missing,
    /// The ConfigMap holds no context.
    Unreadable,
}

/// A tenant's published context.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Namespace of the ConfigMap.
    pub namespace: String,
    /// Name of the ConfigMap.
    pub name: String,
    /// How it stands to the spec.
    pub freshness: Freshness,
    /// Generation that it was derived from.
    pub generation: Option<i64>,
}

/// A tenant's schema of one service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// What the status says.
    #[serde(flatten)]
    pub data: ServiceData,
    /// Version that the migrations there bring it to, if known.
    pub published_version: Option<i32>,
}

/// An event.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was told last.
    pub time: Option<Timestamp>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

impl Report {
    /// Judges what was observed.
    #[must_use]
    pub fn new(observed: &Observed) -> Self {
        let tenant = &observed.tenant;
        let status = tenant.status.clone().unwrap_or_default();
        let generation = tenant.metadata.generation.unwrap_or_default();
        let is_ready = |one: &Condition| one.type_ == conditions::READY && one.status == "True";
        let placed = placed_on(tenant);
        Self {
            tenant: tenant.name_any(),
            display_name: tenant.spec.display_name.clone(),
            state: tenant.spec.state,
            generation,
            observed_generation: status.observed_generation,
            ready: status.conditions.iter().any(is_ready) && status.observed_generation == Some(generation),
            config_map: placed.as_ref().map(|home| {
                Context::new(home.namespace(), config_map_name(tenant), observed.config_map.as_ref(), generation)
            }),
            home: placed.map(|home| Residence::new(&home, observed)),
            conditions: status.conditions,
            database_role: status.database_role,
            endpoint: status.endpoint,
            services: status.services.into_iter().map(|data| Schema::new(data, observed)).collect(),
            events: told(&observed.events),
        }
    }
}

impl Residence {
    fn new(home: &Home, observed: &Observed) -> Self {
        let (platform, instance) = (observed.platform.as_ref(), observed.instance.as_ref());
        let status = platform.and_then(|one| one.status.clone()).unwrap_or_default();
        let dedicated = instance.and_then(|one| one.status.clone()).unwrap_or_default();
        let region = platform.map(|one| one.spec.region.clone());
        let wanted = platform.map(|one| one.spec.release.clone());
        Self {
            kind: home.kind(),
            name: home.name().to_owned(),
            exists: platform.is_some() || instance.is_some(),
            region: region.or_else(|| instance.map(|one| one.spec.location.region.clone())),
            release: status.release.or(dedicated.release),
            wanted_release: wanted.or_else(|| observed.wanted.clone()),
            conditions: if instance.is_some() { dedicated.conditions } else { status.conditions },
        }
    }
}

impl Context {
    fn new(namespace: String, name: String, config_map: Option<&ConfigMap>, generation: i64) -> Self {
        let text = config_map.and_then(|map| map.data.as_ref()?.get(runtime::CONTEXT_KEY));
        let published = text.and_then(|text| serde_json::from_str::<TenantContext>(text).ok());
        let freshness = match (config_map, &published) {
            (None, _) => Freshness::Missing,
            (Some(_), None) => Freshness::Unreadable,
            (Some(_), Some(context)) if context.generation == generation => Freshness::Current,
            (Some(_), Some(_)) => Freshness::Behind,
        };
        Self { namespace, name, freshness, generation: published.map(|context| context.generation) }
    }
}

impl Schema {
    fn new(data: ServiceData, observed: &Observed) -> Self {
        let shared = observed.platform.iter().filter_map(|one| one.status.as_ref()).flat_map(|one| &one.services);
        let dedicated = observed.instance.iter().filter_map(|one| one.status.as_ref()).flat_map(|one| &one.services);
        let mut services = shared.chain(dedicated);
        let published_version = services.find(|one| one.service == data.service).map(|one| one.schema_version);
        Self { data, published_version }
    }
}

/// The last events, oldest first.
fn told(events: &[Event]) -> Vec<Told> {
    let mut told: Vec<_> = events
        .iter()
        .map(|event| Told {
            time: last_time(event),
            type_: event.type_.clone().unwrap_or_default(),
            reason: event.reason.clone().unwrap_or_default(),
            note: event.note.clone().unwrap_or_default(),
        })
        .collect();
    told.sort_by_key(|event| event.time);
    told.split_off(told.len().saturating_sub(EVENTS))
}

fn last_time(event: &Event) -> Option<Timestamp> {
    let repeated = event.series.as_ref().map(|series| series.last_observed_time.0);
    repeated.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use easycode_crds::Tenant;
    use serde_json::{Value, json};

    use super::*;

    fn tenant(ready: &str, observed: i64) -> Tenant {
        let mut tenant = Tenant::new("acme", serde_json::from_value(json!({ "displayName": "Acme" })).unwrap());
        tenant.metadata.generation = Some(2);
        let condition = json!({ "type": "Ready", "status": ready, "reason": "AsPlanned", "message": "m",
            "lastTransitionTime": "2026-11-24T15:00:00Z" });
        let status = json!({ "conditions": [condition], "platform": "eu1", "observedGeneration": observed });
        tenant.status = Some(serde_json::from_value(status).unwrap());
        tenant
    }

    fn report(tenant: Tenant, config_map: Option<&Value>) -> Report {
        let config_map = config_map.map(|data| serde_json::from_value(json!({ "data": data })).unwrap());
        Report::new(&Observed { tenant, platform: None, instance: None, wanted: None, config_map, events: Vec::new() })
    }

    fn context(generation: i64) -> Value {
        let context = json!({ "tenant": "acme", "displayName": "Acme", "generation": generation, "state": "Active",
            "entitlements": {}, "dataUse": { "analytics": "None", "aiTraining": "None" }, "databaseRole": "t_acme",
            "release": "1.0.0", "limits": { "users": 1, "connections": 1, "statementTimeoutMs": 1, "storageBytes": 1,
            "requestsPerSecond": 1 } });
        json!({ runtime::CONTEXT_KEY: context.to_string() })
    }

    #[test]
    fn a_tenant_is_ready_only_for_the_newest_spec() {
        assert!(report(tenant("True", 2), None).ready);
        assert!(!report(tenant("True", 1), None).ready);
        assert!(!report(tenant("False", 2), None).ready);
    }

    #[test]
    fn the_context_is_compared_with_the_spec() {
        let freshness = |data: Option<&Value>| report(tenant("True", 2), data).config_map.unwrap().freshness;
        assert_eq!(freshness(None), Freshness::Missing);
        assert_eq!(freshness(Some(&json!({}))), Freshness::Unreadable);
        assert_eq!(freshness(Some(&context(1))), Freshness::Behind);
        assert_eq!(freshness(Some(&context(2))), Freshness::Current);
    }

    #[test]
    fn the_last_events_are_shown_oldest_first() {
        let at = |minute: usize| -> Event {
            let time = format!("2026-11-24T15:{minute:02}:00.000000Z");
            serde_json::from_value(json!({ "eventTime": time, "note": minute.to_string() })).unwrap()
        };
        let events: Vec<_> = [3, 9, 1, 4, 7, 2].map(at).into();
        let notes: Vec<_> = told(&events).into_iter().map(|event| event.note).collect();
        assert_eq!(notes, ["2", "3", "4", "7", "9"]);
    }
}
