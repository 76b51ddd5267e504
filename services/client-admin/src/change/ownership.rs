//! Who owns which fields of a spec, and what of a wanted one the console is to apply. Pure.
//!
//! With server-side apply a manager owns what it applies. So the console applies what it owns already and what is to be
//! different, and leaves alone what others own and have as wanted: it would share what it need not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use super::FIELD_MANAGER;

/// A field that stays though it is not wanted, since another manager applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its path, such as `spec.deployment.platform`.
    pub field: String,
    /// Who owns it.
    pub managers: Vec<String>,
    /// What it is.
    pub value: Value,
}

/// The parts of the spec that the console owns, as managed fields spell them.
#[must_use]
pub fn owned(meta: &ObjectMeta) -> Value {
    let own = entries(meta).find(|entry| is_own(entry));
    own.map_or(Value::Null, |entry| spec_of(entry).clone())
}

/// What to apply so that the spec becomes as wanted.
#[must_use]
pub fn to_apply(wanted: &Value, live: &Value, owned: &Value) -> Value {
    select(wanted, live, owned).unwrap_or_else(|| Value::Object(Map::new()))
}

fn select(wanted: &Value, live: &Value, owned: &Value) -> Option<Value> {
    let Some(fields) = wanted.as_object().filter(|_| live.is_object() || live.is_null()) else {
        return (wanted != live || owned.is_object()).then(|| wanted.clone());
    };
    let selected: Map<_, _> = fields
        .iter()
        .filter_map(|(key, value)| {
            Some((key.clone(), select(value, &live[key.as_str()], &owned[format!("f:{key}").as_str()])?))
        })
        .collect();
    (!selected.is_empty()).then_some(Value::Object(selected))
}

/// Fields that are there, not wanted, and applied by others: leaving them out takes them from nobody.
#[must_use]
pub fn kept_by_others(wanted: &Value, live: &Value, meta: &ObjectMeta) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut path = vec!["spec".to_owned()];
    unwanted(wanted, live, &mut path, &mut |path, value| {
        let managers = managers_of(meta, path);
        if !managers.is_empty() {
            kept.push(Kept { field: path.join("."), managers, value: value.clone() });
        }
    });
    kept
}

fn unwanted(wanted: &Value, live: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&[String], &Value)) {
    let Some(fields) = live.as_object() else { return };
    for (key, value) in fields {
        path.push(key.clone());
        match wanted.get(key) {
            None => found(path, value),
            Some(inner) => unwanted(inner, value, path, found),
        }
        path.pop();
    }
}

/// Managers other than the console that own the field of the path.
fn managers_of(meta: &ObjectMeta, path: &[String]) -> Vec<String> {
    let owns = |entry: &&ManagedFieldsEntry| {
        let fields = path.iter().skip(1).fold(spec_of(entry), |fields, key| &fields[format!("f:{key}").as_str()]);
        !fields.is_null()
    };
    let others = entries(meta).filter(|entry| !is_own(entry)).filter(owns);
    others.filter_map(|entry| entry.manager.clone()).collect()
}

fn is_own(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
}

/// Those of the object itself, not of its status.
fn entries(meta: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
}

fn spec_of(entry: &ManagedFieldsEntry) -> &Value {
    entry.fields_v1.as_ref().map_or(&Value::Null, |fields| &fields.0["f:spec"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta() -> ObjectMeta {
        let entry = |manager: &str, operation: &str, spec: Value| json!({ "manager": manager, "operation": operation, "fieldsV1": { "f:spec": spec } });
        serde_json::from_value(json!({ "managedFields": [
            entry("argocd", "Apply", json!({ "f:displayName": {}, "f:deployment": { "f:platform": {} } })),
            entry(FIELD_MANAGER, "Apply", json!({ "f:limits": { "f:users": {} }, "f:entitlements": {} })),
            entry(FIELD_MANAGER, "Update", json!({ "f:region": {} })),
        ] }))
        .unwrap()
    }

    fn live() -> Value {
        json!({
            "displayName": "Acme", "deployment": { "model": "Shared", "platform": "eu1" },
            "limits": { "users": 5, "connections": 5 }, "entitlements": [{ "service": "crm" }],
        })
    }

    #[test]
    fn what_is_owned_and_what_differs_is_applied_and_nothing_else() {
        let mut wanted = live();
        wanted["limits"]["connections"] = 9.into();
        let applied = to_apply(&wanted, &live(), &owned(&meta()));
        let expected = json!({ "limits": { "users": 5, "connections": 9 }, "entitlements": [{ "service": "crm" }] });
        assert_eq!(applied, expected);
    }

    #[test]
    fn a_new_object_is_applied_whole() {
        assert_eq!(to_apply(&live(), &Value::Null, &Value::Null), live());
    }

    #[test]
    fn what_is_not_wanted_any_more_is_left_out_and_kept_only_if_another_applies_it() {
        let mut wanted = live();
        wanted["deployment"] = json!({ "model": "Dedicated", "instance": "acme" });
        wanted.as_object_mut().unwrap().remove("entitlements");
        let applied = to_apply(&wanted, &live(), &owned(&meta()));
        assert_eq!(applied["deployment"], json!({ "model": "Dedicated", "instance": "acme" }));
        assert!(applied.get("entitlements").is_none());
        let kept = kept_by_others(&wanted, &live(), &meta());
        let expected =
            Kept { field: "spec.deployment.platform".into(), managers: vec!["argocd".into()], value: "eu1".into() };
        assert_eq!(kept, [expected]);
    }
}
