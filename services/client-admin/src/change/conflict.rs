//! What the API server says against an apply: fields that others own, and values that are not acceptable. Pure.

use std::collections::BTreeMap;

use kube::core::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::ownership::Kept;

/// Most faults that are told of at once.
const MOST: usize = 100;

/// How the API server's refusal of a value of another type begins, which has no causes.
pub const OF_ANOTHER_TYPE: &str = "failed to create typed patch object";

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Its path, such as `spec.limits.users`.
    pub field: String,
    /// Who owns it.
    pub managers: Vec<String>,
    /// What it is.
    pub present: Value,
    /// What it was to become; `null` if it was to go.
    pub wanted: Value,
    /// Whether an administrator may take it over. What another applies can't be taken away, only set.
    pub may_be_taken: bool,
}

/// A field to be taken over, with owner and value as they were seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TakeOver {
    /// Its path.
    pub field: String,
    /// Who owned it.
    pub managers: Vec<String>,
    /// What it was.
    pub present: Value,
}

/// A value that is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Path of the field, such as `spec.displayName`; empty if it is of no single one.
    pub field: String,
    /// What a good value is.
    pub message: String,
}

impl Conflict {
    /// Of a field that was to go.
    #[must_use]
    pub fn of_kept(kept: Kept) -> Self {
        Self {
            field: kept.field,
            managers: kept.managers,
            present: kept.value,
            wanted: Value::Null,
            may_be_taken: false,
        }
    }

    /// Whether the person saw just this.
    #[must_use]
    pub fn is_as_seen(&self, seen: &TakeOver) -> bool {
        self.may_be_taken
            && (&self.field, &self.managers, &self.present) == (&seen.field, &seen.managers, &seen.present)
    }
}

/// The conflicts of a refusal, with what is there and what was applied. None if it was refused for another reason.
#[must_use]
pub fn conflicts(status: &Status, live: &Value, applied: &Value) -> Vec<Conflict> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cause in status.details.iter().flat_map(|details| &details.causes).take(MOST) {
        if cause.reason == "FieldManagerConflict" {
            let managers = found.entry(cause.field.trim_start_matches('.').to_owned()).or_default();
            managers.push(manager(&cause.message));
        }
    }
    found
        .into_iter()
        .map(|(field, managers)| Conflict {
            present: value_at(live, &field),
            wanted: value_at(applied, &field),
            field,
            managers,
            may_be_taken: true,
        })
        .collect()
}

/// Out of `conflict with "argocd" using easycode.io/v1alpha1`.
fn manager(message: &str) -> String {
    message.split('"').nth(1).unwrap_or(message).to_owned()
}

/// The value at a path; keys of annotations and labels have dots themselves.
fn value_at(object: &Value, path: &str) -> Value {
    let value = match path.strip_prefix("metadata.annotations.") {
        Some(key) => object["metadata"]["annotations"].get(key),
        None => path.split('.').try_fold(object, |value, key| value.get(key)),
    };
    value.cloned().unwrap_or_default()
}

/// The faults of a refusal.
#[must_use]
pub fn faults(status: &Status) -> Vec<Fault> {
    let causes = status.details.iter().flat_map(|details| &details.causes).take(MOST);
    // Said where something is refused before any rule is tried, and tells nothing.
    let telling = causes.filter(|cause| !cause.message.contains("some validation rules were not checked"));
    let mut faults: Vec<_> = telling
        .map(|cause| Fault { field: cause.field.trim_start_matches('.').to_owned(), message: told(&cause.message) })
        .filter(|fault| fault.field != "<nil>")
        .collect();
    faults.dedup();
    if faults.is_empty() {
        faults.push(
            of_another_type(&status.message)
                .unwrap_or_else(|| Fault { field: String::new(), message: status.message.clone() }),
        );
    }
    faults
}

/// Out of `failed to create typed patch object (…): .spec.limits.users: expected numeric (int or float), got string`.
fn of_another_type(message: &str) -> Option<Fault> {
    let (_, told) = message.split_once(OF_ANOTHER_TYPE)?;
    let (_, told) = told.split_once("): .")?;
    let (field, message) = told.split_once(": ")?;
    Some(Fault { field: field.to_owned(), message: message.to_owned() })
}

/// Without what the API server puts before a rule's own words.
fn told(message: &str) -> String {
    let Some(rest) = message.strip_prefix("Invalid value: ") else { return message.to_owned() };
    let end = if let Some(quoted) = rest.strip_prefix('"') {
        let mut escaped = false;
        quoted
            .find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
            .map(|end| end + 2)
    } else {
        rest.find(": ").filter(|end| serde_json::from_str::<Value>(&rest[..*end]).is_ok())
    };
    end.and_then(|end| rest.get(end..)?.strip_prefix(": ")).unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(causes: &Value) -> Status {
        serde_json::from_value(
            json!({ "status": "Failure", "message": "refused", "code": 409, "details": { "causes": causes } }),
        )
        .unwrap()
    }

    #[test]
    fn a_conflict_names_field_owners_and_both_values() {
        let cause = |manager: &str| json!({ "reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\" using easycode.io/v1alpha1"), "field": ".spec.limits.users" });
        let status = status(&json!([cause("argocd"), cause("kubectl-edit")]));
        let live = json!({ "spec": { "limits": { "users": 5 } } });
        let applied = json!({ "spec": { "limits": { "users": 9 } } });
        let found = conflicts(&status, &live, &applied);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].field.as_str(), &found[0].managers),
            ("spec.limits.users", &vec!["argocd".into(), "kubectl-edit".into()])
        );
        assert_eq!((&found[0].present, &found[0].wanted), (&json!(5), &json!(9)));
        let seen =
            TakeOver { field: "spec.limits.users".into(), managers: found[0].managers.clone(), present: json!(5) };
        assert!(found[0].is_as_seen(&seen));
        assert!(!found[0].is_as_seen(&TakeOver { present: json!(6), ..seen.clone() }));
        assert!(!found[0].is_as_seen(&TakeOver { managers: vec!["argocd".into()], ..seen }));
    }

    #[test]
    fn an_annotations_value_is_found_by_its_key() {
        let live = json!({ "metadata": { "annotations": { "easycode.io/changed-by": "ada" } } });
        assert_eq!(value_at(&live, "metadata.annotations.easycode.io/changed-by"), "ada");
        assert_eq!(value_at(&live, "spec.nothing.at.all"), Value::Null);
    }

    #[test]
    fn a_fault_is_told_in_the_rules_own_words() {
        let status = status(&json!([
            { "reason": "FieldValueInvalid", "field": "spec.region", "message": "Invalid value: \"a\\\": b\": region: must begin with a letter" },
            { "reason": "FieldValueInvalid", "field": "spec", "message": "Invalid value: region: can't be changed" },
            { "reason": "FieldValueInvalid", "field": "spec.limits.users", "message": "Invalid value: 0: should be at least 1" },
            { "reason": "FieldValueInvalid", "field": "<nil>", "message": "Invalid value: null: some validation rules were not checked" },
            { "reason": "FieldValueRequired", "field": "spec.displayName", "message": "Required value" },
        ]));
        let told: Vec<_> = faults(&status).into_iter().map(|fault| (fault.field, fault.message)).collect();
        let expected = [
            ("spec.region", "region: must begin with a letter"),
            ("spec", "region: can't be changed"),
            ("spec.limits.users", "should be at least 1"),
            ("spec.displayName", "Required value"),
        ];
        assert_eq!(told, expected.map(|(field, message)| (field.to_owned(), message.to_owned())));
    }

    #[test]
    fn a_value_of_another_type_is_told_at_its_field() {
        let mut status = status(&json!([]));
        status.message = "failed to create typed patch object (/acme; easycode.io/v1alpha1, Kind=Tenant): .spec.limits.users: expected numeric (int or float), got string".into();
        let expected =
            Fault { field: "spec.limits.users".into(), message: "expected numeric (int or float), got string".into() };
        assert_eq!(faults(&status), [expected]);
    }

    #[test]
    fn a_refusal_without_causes_is_told_as_a_whole() {
        assert_eq!(faults(&status(&json!([]))), [Fault { field: String::new(), message: "refused".into() }]);
    }
}
