//! A tenant's past: its audit trail, since when its conditions are what they are, and the events that the cluster still has. Where
//! the trail can't be read, who wrote which of its fields last.

use std::cmp::Reverse;

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
    /// Whose audit trail could not be read, and why; what happened there may be missing.
    pub unread: Vec<String>,
}

/// The tenant's past.
pub async fn of_tenant(app: &App, tenant: &Tenant) -> Result<History, Problem> {
    let name = tenant.name_any();
    let (events, trail) = future::join(events(&app.client, "Tenant", &name), trail::of_tenant(app, &name)).await;
    let Answer { records, unread } = trail;
    Ok(History { entries: entries(tenant, &events?, &records, unread.is_empty()), unread })
}

fn entries(tenant: &Tenant, events: &[Event], records: &[Told], is_whole: bool) -> Vec<Entry> {
    let mine = events.iter().filter(|event| {
        // By uid, since an earlier tenant may have had the name.
        event.regarding.as_ref().is_some_and(|regarding| regarding.uid == tenant.metadata.uid)
    });
    let mut entries: Vec<_> = mine.filter_map(of_event).collect();
    let mine = records.iter().rev().filter(|record| Some(&record.uid) == tenant.metadata.uid.as_ref());
    entries.extend(mine.map(of_record));
    if !is_whole {
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

fn of_record(record: &Told) -> Entry {
    let what = record.what.join("; ");
    Entry { at: record.at.to_string(), kind: "Record", by: record.by.clone(), what }
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
    use easycode_crds::TenantSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_comes_first_and_a_namesakes_records_not_at_all() {
        let spec: TenantSpec =
            serde_json::from_value(json!({ "displayName": "Acme", "region": "eu", "entitlements": [] })).unwrap();
        let mut tenant = Tenant::new("acme", spec);
        tenant.metadata.uid = Some("u1".to_owned());
        tenant.metadata.managed_fields = Some(vec![entry(&json!({ "f:spec": { "f:state": {} } }))]);
        let record = |uid: &str, at: &str, by: &str| Told {
            at: at.parse().unwrap(),
            home: "SharedPlatform eu1".to_owned(),
            uid: uid.to_owned(),
            by: by.to_owned(),
            what: vec!["SpecChanged".to_owned(), "limits.users: 5 → 6".to_owned()],
        };
        let records = [
            record("u0", "2026-11-25T10:00:00Z", "eve"),
            record("u1", "2026-11-26T12:00:00.5Z", "ada"),
            record("u1", "2026-11-26T12:00:01Z", "grace"),
        ];
        let told = |is_whole| {
            let entries = entries(&tenant, &[], &records, is_whole);
            entries.into_iter().map(|entry| (entry.kind, entry.by)).collect::<Vec<_>>()
        };
        let records = [("Record", "grace".to_owned()), ("Record", "ada".to_owned())];
        assert_eq!(told(true), records);
        // Without the whole trail the writers of fields are told.
        assert_eq!(told(false).last(), Some(&("Change", "easycode-client-admin".to_owned())));
        assert_eq!(told(false)[..2], records);
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
