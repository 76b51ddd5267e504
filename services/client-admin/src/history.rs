//! A tenant's past: its audit trail, since when its conditions are what they are, and the events that the cluster still has. Where
//! the trail doesn't know the present spec, who wrote which of its fields last.

use std::{cmp::Reverse, collections::BTreeSet};

use easycode_crds::Tenant;
use easycode_kit::Problem;
use easycode_operator::audit::{server::Answer, trail::words::Told};
use futures::future;
use jiff::Timestamp;
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry},
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use crate::{App, trail};

/// Most events that are read.
const EVENTS: u32 = 200;
/// Fields of one writer that are named.
const FIELDS: usize = 8;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// When (RFC 3339).
    pub at: String,
    /// `Record` of the audit trail, `Change`, `Condition`, `Event` or `Move`.
    pub kind: &'static str,
    /// Who, as far as that is known.
    pub by: String,
    /// What.
    pub what: String,
}

/// What is known of a past.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// What happened, the newest first.
    pub entries: Vec<Entry>,
    /// Whose audit trail could not be read: what happened there may be missing.
    pub unread: Vec<String>,
}

/// The tenant's past.
pub async fn of_tenant(app: &App, tenant: &Tenant) -> Result<History, Problem> {
    let name = tenant.name_any();
    let (events, trail) = future::join(events(&app.client, "Tenant", &name), trail::of_tenant(app, &name)).await;
    let Answer { records, unread } = trail;
    Ok(History { entries: entries(tenant, &events?, &records), unread })
}

fn entries(tenant: &Tenant, events: &[Event], records: &[Told]) -> Vec<Entry> {
    let mine = events.iter().filter(|event| {
        // By uid, since an earlier tenant may have had the name.
        event.regarding.as_ref().is_some_and(|regarding| regarding.uid == tenant.metadata.uid)
    });
    let mut entries: Vec<_> = mine.filter_map(of_event).collect();
    entries.extend(told_once(records));
    let is_told = |record: &Told| record.is_of_spec && Some(record.generation) == tenant.metadata.generation;
    if !records.iter().any(is_told) {
        entries.extend(written(tenant));
    }
    if let Some(status) = &tenant.status {
        entries.extend(status.conditions.iter().map(of_condition));
        if let Some(relocation) = &status.relocation {
            let home = |kind: &str, name: &str| format!("{kind} {name}");
            let way = format!(
                "move from {} to {}: {:?}",
                home(&relocation.from.kind, &relocation.from.name),
                home(&relocation.to.kind, &relocation.to.name),
                relocation.phase
            );
            let told = relocation.message.as_ref().map_or_else(|| way.clone(), |message| format!("{way}, {message}"));
            entries.extend(relocation.phase_since.clone().map(|at| Entry {
                at,
                kind: "Move",
                by: "easycode-operator".to_owned(),
                what: told,
            }));
        }
    }
    entries.sort_by_key(|entry| Reverse(entry.at.parse::<Timestamp>().ok()));
    entries
}

/// The records, the newest first. A home that the tenant came to knows the spec that it came with as its first: that is no change.
fn told_once(records: &[Told]) -> Vec<Entry> {
    let homes: BTreeSet<_> = records.iter().map(|record| &record.home).collect();
    let mut known = BTreeSet::new();
    let changed = |record: &&Told| !record.is_of_spec || known.insert(record.generation);
    let told = records.iter().filter(changed).map(|record| {
        let what = record.what.join("; ");
        let what = if homes.len() > 1 { format!("{what} ({})", record.home) } else { what };
        Entry { at: record.at.to_string(), kind: "Record", by: record.by.clone(), what }
    });
    let mut told: Vec<_> = told.collect();
    told.reverse();
    told
}

/// Events of objects without a namespace are in `default`.
async fn events(client: &Client, kind: &str, name: &str) -> Result<Vec<Event>, Problem> {
    let api: Api<Event> = Api::namespaced(client.clone(), "default");
    let selected = ListParams::default().fields(&format!("regarding.kind={kind},regarding.name={name}")).limit(EVENTS);
    let listed = api.list(&selected).await.map_err(|error| {
        warn!(%error, "events");
        Problem::unavailable("the API server does not tell the events; try again")
    })?;
    Ok(listed.items)
}

fn of_event(event: &Event) -> Option<Entry> {
    let last = event.series.as_ref().map(|series| series.last_observed_time.0);
    let at = last.or_else(|| event.event_time.as_ref().map(|time| time.0))?;
    let reason = event.reason.as_deref().unwrap_or_default();
    Some(Entry {
        at: at.to_string(),
        kind: "Event",
        by: event.reporting_controller.clone().unwrap_or_default(),
        what: format!("{reason}: {}", event.note.as_deref().unwrap_or_default()),
    })
}

fn of_condition(condition: &Condition) -> Entry {
    Entry {
        at: condition.last_transition_time.0.to_string(),
        kind: "Condition",
        by: "easycode-operator".to_owned(),
        what: format!("{} is {}: {}", condition.type_, condition.status, condition.reason),
    }
}

/// Who wrote which fields of the spec last.
fn written(tenant: &Tenant) -> Vec<Entry> {
    let person = tenant.annotations().get(easycode_operator::kubernetes::labels::CHANGED_BY);
    let entries = tenant.metadata.managed_fields.iter().flatten();
    entries.filter_map(|entry| of_writer(entry, person.map(String::as_str))).collect()
}

fn of_writer(entry: &ManagedFieldsEntry, person: Option<&str>) -> Option<Entry> {
    let fields = &entry.fields_v1.as_ref()?.0;
    let spec = fields["f:spec"].as_object()?;
    let names: Vec<_> = spec.keys().filter_map(|key| key.strip_prefix("f:")).collect();
    let shown = names.iter().take(FIELDS).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > FIELDS { " and more" } else { "" };
    let manager = entry.manager.as_deref().unwrap_or("unknown");
    let annotation = format!("f:{}", easycode_operator::kubernetes::labels::CHANGED_BY);
    let names_person = !fields["f:metadata"]["f:annotations"][annotation.as_str()].is_null();
    let by = match person.filter(|_| names_person) {
        Some(person) => format!("{person} by {manager}"),
        None => manager.to_owned(),
    };
    let at = entry.time.as_ref()?.0.to_string();
    Some(Entry { at, kind: "Change", by, what: format!("last wrote {shown}{more}") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(generation: i64, home: &str, at: &str, by: &str) -> Told {
        Told {
            at: at.parse().unwrap(),
            home: home.to_owned(),
            generation,
            is_of_spec: true,
            by: by.to_owned(),
            what: vec!["SpecChanged".to_owned(), "limits.users: 5 → 6".to_owned()],
        }
    }

    #[test]
    fn the_newest_comes_first_and_writers_of_fields_only_of_a_spec_that_no_record_tells() {
        let mut tenant =
            Tenant::new("acme", serde_json::from_value(json!({ "displayName": "Acme", "entitlements": [] })).unwrap());
        tenant.metadata.generation = Some(2);
        tenant.metadata.managed_fields = Some(vec![entry(&json!({ "f:spec": { "f:state": {} } }))]);
        let told = |records: &[Told]| {
            let entries = entries(&tenant, &[], records);
            entries.into_iter().map(|entry| (entry.kind, entry.by)).collect::<Vec<_>>()
        };
        let first = record(1, "eu1", "2026-11-26T12:00:00.5Z", "ada");
        let second = record(2, "eu1", "2026-11-26T12:00:01Z", "grace");
        let written = ("Change", "easycode-client-admin".to_owned());
        let [ada, grace] = ["ada", "grace"].map(|by| ("Record", by.to_owned()));
        assert_eq!(told(&[first.clone(), second]), [grace, ada.clone()]);
        assert_eq!(told(&[first]), [ada, written.clone()]);
        assert_eq!(told(&[]), [written]);
    }

    #[test]
    fn the_spec_that_a_tenant_moved_with_is_told_once() {
        let mut made = record(1, "dynamo", "2026-11-26T13:00:01Z", "easycode-operator");
        (made.is_of_spec, made.what) = (false, vec!["CreateRole".to_owned()]);
        let records =
            [record(1, "eu1", "2026-11-26T12:00:00Z", "ada"), record(1, "dynamo", "2026-11-26T13:00:00Z", "ada"), made];
        let told: Vec<_> = told_once(&records).into_iter().map(|entry| entry.what).collect();
        assert_eq!(told, ["CreateRole (dynamo)", "SpecChanged; limits.users: 5 → 6 (eu1)"]);
    }

    fn entry(fields: &serde_json::Value) -> ManagedFieldsEntry {
        serde_json::from_value(
            json!({ "manager": "easycode-client-admin", "time": "2026-11-26T12:00:00Z", "fieldsV1": fields }),
        )
        .unwrap()
    }

    #[test]
    fn a_writer_is_told_with_the_person_only_where_the_annotation_is_of_it() {
        let spec = json!({ "f:limits": { "f:users": {} } });
        let annotated =
            json!({ "f:spec": spec, "f:metadata": { "f:annotations": { "f:easycode.io/changed-by": {} } } });
        let told = of_writer(&entry(&annotated), Some("ada@easycode.example")).unwrap();
        assert_eq!(
            (told.by.as_str(), told.what.as_str()),
            ("ada@easycode.example by easycode-client-admin", "last wrote limits")
        );
        let told = of_writer(&entry(&json!({ "f:spec": spec })), Some("ada@easycode.example")).unwrap();
        assert_eq!(told.by, "easycode-client-admin");
        assert!(of_writer(&entry(&json!({ "f:status": {} })), None).is_none());
    }
}
