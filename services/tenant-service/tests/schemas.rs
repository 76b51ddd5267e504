//! The schemas of settings that the services declare: all of one form, so that a page can be made of each, and what it takes is bounded.

use std::collections::BTreeMap;

use easycode_kit::Service;
use easycode_tenant_service::{SERVICE, schema::Schema};
use serde_json::{Value, from_str, json};

fn declared() -> BTreeMap<&'static str, Value> {
    let services = [SERVICE, easycode_crm::SERVICE, easycode_pos::SERVICE, easycode_procurement::SERVICE];
    let settings = |service: &Service| from_str(service.settings.expect("it declares settings")).expect("it is JSON");
    services.iter().map(|service| (service.name, settings(service))).collect()
}

/// Checks one schema and all within it. `described` is whether what refers to it describes it.
fn check(path: &str, schema: &Value, root: &Value, described: bool) {
    let described = described || schema["description"].is_string();
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#').expect("a reference within")).expect("its target");
        return check(path, target, root, described);
    }
    assert!(described, "{path} has no description");
    match schema["type"].as_str() {
        Some("object") => {
            assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
            for (name, property) in schema["properties"].as_object().expect("properties") {
                check(&format!("{path}/{name}"), property, root, false);
            }
        }
        Some("array") => {
            assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
            if let Some(property) = schema["x-unique-by"].as_str() {
                let required = schema["items"]["required"].as_array().expect("what tells entries apart is required");
                assert!(required.iter().any(|one| one == property), "{path} is unique by what may be missing");
            }
            check(&format!("{path}/0"), &schema["items"], root, false);
        }
        Some("string") => assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{path} has no bound"),
        Some("integer" | "number") => {
            assert!(schema["minimum"].is_number() && schema["maximum"].is_number(), "{path} has no bounds");
        }
        Some("boolean") => {}
        other => panic!("{path} is of type {other:?}"),
    }
}

#[test]
fn every_schema_is_described_and_bounded_and_takes_nothing_else() {
    for (service, document) in declared() {
        check(service, &document, &document, false);
        Schema::compile(document).expect("a schema").check(service, &json!({})).expect("nothing needs to be set");
    }
}

#[test]
fn a_companys_own_field_is_declared_once_for_a_kind_of_record() {
    let schema = Schema::compile(declared()[easycode_crm::SERVICE.name].clone()).unwrap();
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let declaring = |contact: Vec<Value>| {
        schema.check("crm", &json!({ "customFields": { "company": [field("tier", "Text")], "contact": contact } }))
    };
    declaring(vec![field("tier", "Number"), field("Tier", "Text")]).unwrap();
    let refused = declaring(vec![field("tier", "Text"), field("since", "Date"), field("tier", "Number")]).unwrap_err();
    let told: Vec<_> = refused.errors.iter().map(|one| (one.pointer.as_str(), one.detail.as_str())).collect();
    assert_eq!(told, [("/customFields/contact/2/name", r#"another one is "tier" already"#)]);
}

#[test]
fn only_roles_that_approve_are_asked_for_an_approval() {
    let (service, schema) = (easycode_procurement::SERVICE, declared()[easycode_procurement::SERVICE.name].clone());
    let roles = schema["properties"]["approvals"]["items"]["properties"]["role"]["enum"].clone();
    for role in roles.as_array().unwrap() {
        assert!(service.roles.iter().any(|known| *role == known.name), "{role} is none of Procurement's");
    }
    let schema = Schema::compile(schema).unwrap();
    let asking = |role: &str| schema.check(service.name, &json!({ "approvals": [{ "role": role }] }));
    asking("procurement-director").unwrap();
    for role in ["cfo", "The CFO", "procurement-buyer"] {
        let errors = asking(role).unwrap_err().errors;
        assert!(
            errors[0].pointer == "/approvals/0/role" && errors[0].detail.contains("procurement-approver"),
            "{errors:?}"
        );
    }
}

#[test]
fn the_companys_own_settings_are_as_described() {
    let schema = Schema::compile(declared()[SERVICE.name].clone()).unwrap();
    let full = json!({
        "theme": { "accent": "#0a5c8f", "appearance": "dark", "logoText": "Aurora Bäckerei" },
        "workflow": { "timeZone": "America/Argentina/Buenos_Aires", "dateFormat": "DD.MM.YYYY" },
        "notifications": { "approvals": false, "security": true },
    });
    schema.check("ui", &full).unwrap();
    for (bad, pointer) in [
        (json!({ "theme": { "accent": "red;}body{display:none" } }), "/theme/accent"),
        (json!({ "theme": { "accent": "#fff" } }), "/theme/accent"),
        (json!({ "theme": { "logoText": "a\u{7}" } }), "/theme/logoText"),
        (json!({ "theme": "dark" }), "/theme"),
        (json!({ "workflow": { "timeZone": "../../etc/passwd" } }), "/workflow/timeZone"),
    ] {
        let errors = schema.check("ui", &bad).unwrap_err().errors;
        assert!(errors.iter().any(|error| error.pointer == pointer), "{bad}: {errors:?}");
    }
}
