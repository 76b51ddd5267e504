//! What differs between two versions of a spec, as paths. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// Fields that name an entry of a list.
const NAMES: [&str; 3] = ["service", "name", "email"];

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Such as `limits.users` or `entitlements[crm].modules`.
    pub path: String,
    /// What it was; `None` if there was no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is; `None` if there is no such field any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// All fields that differ.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    match (before, after) {
        _ if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(inner, old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if let Some(name) = naming(old, new) => {
            let named = |list: &[Value]| list.iter().filter_map(|one| one[name].as_str()).map(str::to_owned).collect();
            let (old_names, new_names): (Vec<_>, Vec<_>) = (named(old), named(new));
            let entry = |list: &'_ [Value], wanted: &str| list.iter().find(|one| one[name] == *wanted).cloned();
            for wanted in old_names.iter().chain(&new_names).collect::<BTreeSet<_>>() {
                let inner = format!("{path}[{wanted}]");
                compare(inner, entry(old, wanted).as_ref(), entry(new, wanted).as_ref(), found);
            }
            let same: BTreeSet<_> = old_names.iter().collect();
            if old_names != new_names && same == new_names.iter().collect() {
                found.push(Change { path, from: Some(old_names.into()), to: Some(new_names.into()) });
            }
        }
        _ => found.push(Change { path, from: before.cloned(), to: after.cloned() }),
    }
}

/// The field by which the entries of both lists are told apart.
fn naming(old: &[Value], new: &[Value]) -> Option<&'static str> {
    let names = |list: &[Value], field: &str| {
        let names: BTreeSet<_> = list.iter().filter_map(|one| one[field].as_str()).collect();
        names.len() == list.len()
    };
    NAMES.into_iter().find(|field| names(old, field) && names(new, field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let text = |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let line = |change: Change| format!("{}: {} {}", change.path, text(change.from), text(change.to));
        changes(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn fields_are_named_by_their_path_and_entries_by_their_name() {
        let before = json!({ "state": "Active", "limits": { "users": 5, "storage": "1Gi" },
            "entitlements": [{ "service": "crm", "modules": [] }, { "service": "pos" }] });
        let after = json!({ "state": "Suspended", "limits": { "users": 6, "storage": "1Gi" }, "region": "eu",
            "entitlements": [{ "service": "finance" }, { "service": "crm", "modules": ["campaigns"] }] });
        assert_eq!(
            told(&before, &after),
            [
                r#"entitlements[crm].modules: [] ["campaigns"]"#,
                r#"entitlements[finance]: - {"service":"finance"}"#,
                r#"entitlements[pos]: {"service":"pos"} -"#,
                "limits.users: 5 6",
                r#"region: - "eu""#,
                r#"state: "Active" "Suspended""#,
            ]
        );
        assert_eq!(changes(&before, &before), []);
    }

    #[test]
    fn an_order_that_differs_is_told_too() {
        let list = |names: &[&str]| json!({ "services": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() });
        assert_eq!(told(&list(&["a", "b"]), &list(&["b", "a"])), [r#"services: ["a","b"] ["b","a"]"#]);
        assert_eq!(told(&json!({ "roles": ["a"] }), &json!({ "roles": ["b"] })), [r#"roles: ["a"] ["b"]"#]);
    }
}
