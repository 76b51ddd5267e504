//! Who wrote an object, as far as the API server tells a controller: managed fields name the program and the time of its last
//! write, never the user. A console can name the person by an annotation.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Value, json};

use crate::kubernetes::labels::{CHANGED_BY, CONFIRM_DELETE};

/// What is said where nobody left a name.
pub const UNKNOWN: &str = "unknown";

/// Who wrote, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The program, as it named itself or as the API server took it from its user agent.
    pub manager: Option<String>,
    /// The person, as the annotation names them.
    pub changed_by: Option<String>,
    /// When, in whole seconds.
    pub written: Option<Timestamp>,
}

impl Author {
    /// Who to name in one word.
    #[must_use]
    pub fn name(&self) -> &str {
        self.changed_by.as_deref().or(self.manager.as_deref()).unwrap_or(UNKNOWN)
    }
}

/// Leaves of the managed fields what tells who wrote the spec, or one of the annotations that matter here. All of them for all
/// objects would be most of the operator's memory.
pub fn compact(meta: &mut ObjectMeta) {
    let Some(entries) = &mut meta.managed_fields else { return };
    entries.retain_mut(|entry| {
        let mut kept = json!({});
        if owns_spec(entry) {
            kept["f:spec"] = json!({});
        }
        for annotation in [CHANGED_BY, CONFIRM_DELETE].into_iter().filter(|one| owns_annotation(entry, one)) {
            kept["f:metadata"]["f:annotations"][format!("f:{annotation}")] = json!({});
        }
        let matters = kept.as_object().is_some_and(|kept| !kept.is_empty());
        entry.fields_v1 = Some(FieldsV1(kept));
        matters
    });
}

/// Who wrote the spec last.
#[must_use]
pub fn of_spec(meta: &ObjectMeta) -> Author {
    let entries = meta.managed_fields.iter().flatten();
    let last = entries.filter(|entry| owns_spec(entry)).max_by_key(|entry| written(entry));
    last.map_or_else(Author::default, |entry| author(entry, meta))
}

/// Who confirmed the deletion. Nothing tells who asked for it.
#[must_use]
pub fn of_deletion(meta: &ObjectMeta) -> Author {
    let confirmed = meta
        .annotations
        .iter()
        .flatten()
        .any(|(key, value)| key == CONFIRM_DELETE && Some(value) == meta.name.as_ref());
    let mut entries = meta.managed_fields.iter().flatten();
    let entry = entries.find(|entry| owns_annotation(entry, CONFIRM_DELETE)).filter(|_| confirmed);
    let author = entry.map_or_else(Author::default, |entry| author(entry, meta));
    Author { written: meta.deletion_timestamp.as_ref().map(|time| time.0), ..author }
}

/// The annotation counts only if whoever wrote last wrote it, too: else it names the person behind an earlier change.
fn author(entry: &ManagedFieldsEntry, meta: &ObjectMeta) -> Author {
    let named = meta.annotations.iter().flatten().find(|(key, value)| *key == CHANGED_BY && !value.is_empty());
    Author {
        manager: entry.manager.clone(),
        changed_by: named.filter(|_| owns_annotation(entry, CHANGED_BY)).map(|(_, value)| value.clone()),
        written: written(entry),
    }
}

fn written(entry: &ManagedFieldsEntry) -> Option<Timestamp> {
    entry.time.as_ref().map(|time| time.0)
}

/// None for who writes the status alone.
fn fields(entry: &ManagedFieldsEntry) -> &Value {
    let whole = entry.subresource.as_deref().unwrap_or_default().is_empty();
    entry.fields_v1.as_ref().filter(|_| whole).map_or(&Value::Null, |fields| &fields.0)
}

fn owns_spec(entry: &ManagedFieldsEntry) -> bool {
    !fields(entry)["f:spec"].is_null()
}

fn owns_annotation(entry: &ManagedFieldsEntry, annotation: &str) -> bool {
    !fields(entry)["f:metadata"]["f:annotations"][format!("f:{annotation}")].is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, second: u32, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": "Update", "time": format!("2026-11-24T15:00:{second:02}Z"), "fieldsV1": fields })
    }

    fn meta(entries: &[Value], annotations: &Value) -> ObjectMeta {
        let mut meta: ObjectMeta =
            serde_json::from_value(json!({ "name": "acme", "annotations": annotations, "managedFields": entries }))
                .unwrap();
        let whole = meta.clone();
        compact(&mut meta);
        assert_eq!(
            (of_spec(&meta), of_deletion(&meta)),
            (of_spec(&whole), of_deletion(&whole)),
            "compacting loses nothing"
        );
        meta
    }

    #[test]
    fn the_last_writer_of_the_spec_is_named_and_nobody_who_only_labels_or_reports() {
        let spec = json!({ "f:spec": { "f:state": {} } });
        let mut status = entry("easycode-operator", 9, &json!({ "f:status": {}, "f:spec": {} }));
        status["subresource"] = "status".into();
        let labels = entry("labeller", 8, &json!({ "f:metadata": { "f:labels": { "f:team": {} } } }));
        let meta = meta(&[entry("argocd", 1, &spec), entry("kubectl-edit", 5, &spec), labels, status], &json!({}));
        assert_eq!(of_spec(&meta).name(), "kubectl-edit");
        assert_eq!(of_spec(&meta).written, Some("2026-11-24T15:00:05Z".parse().unwrap()));
        assert_eq!(meta.managed_fields.unwrap().len(), 2);
    }

    #[test]
    fn a_person_is_named_only_for_the_change_that_the_annotation_came_with() {
        let console = json!({ "f:spec": {}, "f:metadata": { "f:annotations": { "f:easycode.io/changed-by": {} } } });
        let annotations = json!({ CHANGED_BY: "ada@easycode.example" });
        let by_console = meta(&[entry("console", 5, &console)], &annotations);
        assert_eq!(of_spec(&by_console).name(), "ada@easycode.example");
        assert_eq!(of_spec(&by_console).manager.as_deref(), Some("console"));
        let later = entry("kubectl-edit", 6, &json!({ "f:spec": {} }));
        assert_eq!(of_spec(&meta(&[entry("console", 5, &console), later], &annotations)).name(), "kubectl-edit");
    }

    #[test]
    fn a_deletion_is_told_of_whoever_confirmed_it() {
        let confirmed = json!({ "f:metadata": { "f:annotations": { "f:easycode.io/confirm-delete": {} } } });
        let entries = [entry("argocd", 1, &json!({ "f:spec": {} })), entry("kubectl-annotate", 5, &confirmed)];
        assert_eq!(of_deletion(&meta(&entries, &json!({ CONFIRM_DELETE: "acme" }))).name(), "kubectl-annotate");
        assert_eq!(of_deletion(&meta(&entries, &json!({ CONFIRM_DELETE: "other" }))).name(), UNKNOWN);
        assert_eq!(of_deletion(&meta(&entries[..1], &json!({}))).name(), UNKNOWN);
    }
}
