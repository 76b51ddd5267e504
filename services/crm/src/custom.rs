//! A tenant's own fields. Its administrators declare them in the settings of CRM:
//!
//! ```json
//! {"customFields": {"contact": [{"name": "loyaltyNumber", "type": "Text", "required": true}]}}
//! ```
//!
//! For a kind of record with declared fields nothing else is taken; for one without, any object is. A declaration that can't
//! be read stops writes rather than letting anything in.

use easycode_kit::{App, Caller, Problem, date::Date};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Most bytes of a record's custom fields, as JSON.
const MAX_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    #[serde(default)]
    custom_fields: Declared,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    company: Option<Vec<Field>>,
    contact: Option<Vec<Field>>,
    deal: Option<Vec<Field>>,
}

/// The kinds of records that have custom fields.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A company.
    Company,
    /// A contact.
    Contact,
    /// A deal.
    Deal,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    type_: Type,
    #[serde(default)]
    required: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Type {
    Text,
    Number,
    Boolean,
    Date,
}

impl Type {
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Date => Date::deserialize(value).is_ok(),
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date such as 2026-11-24",
        }
    }
}

/// The custom fields of a record of the kind, if they are as the tenant declares them; an empty object without any.
pub fn checked(caller: &Caller, app: &App, kind: Kind, custom: Option<Value>) -> Result<Value, Problem> {
    let settings = caller.context.settings.get(&app.config.service);
    let declared = settings.map(Settings::deserialize).transpose().map_err(|error| {
        Problem::conflict(format!(
            "customFields in the tenant's settings of CRM can't be read, an administrator must correct them: {error}"
        ))
    })?;
    let declared = declared.and_then(|settings| match kind {
        Kind::Company => settings.custom_fields.company,
        Kind::Contact => settings.custom_fields.contact,
        Kind::Deal => settings.custom_fields.deal,
    });
    let custom = custom.unwrap_or_else(|| Value::Object(Map::new()));
    let Value::Object(fields) = &custom else { return Err(Problem::invalid("custom: must be a JSON object")) };
    if custom.to_string().len() > MAX_BYTES {
        return Err(Problem::invalid(format!("custom: must have at most {MAX_BYTES} bytes as JSON")));
    }
    match declared {
        Some(declared) => check(&declared, fields).map(|()| custom),
        None => Ok(custom),
    }
}

fn check(declared: &[Field], fields: &Map<String, Value>) -> Result<(), Problem> {
    for name in fields.keys() {
        if !declared.iter().any(|field| field.name == *name) {
            let known: Vec<_> = declared.iter().map(|field| field.name.as_str()).collect();
            return Err(Problem::invalid(format!(
                "custom.{name}: there is no such field; declared are {}",
                known.join(", ")
            )));
        }
    }
    for field in declared {
        match fields.get(&field.name).filter(|value| !value.is_null()) {
            None if field.required => {
                return Err(Problem::invalid(format!("custom.{}: is required", field.name)));
            }
            Some(value) if !field.type_.admits(value) => {
                let description = field.type_.description();
                return Err(Problem::invalid(format!("custom.{}: must be {description}", field.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jsonschema::validator_for;
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn only_declared_fields_of_the_declared_type_are_taken() {
        let declared: Vec<Field> = serde_json::from_value(json!([
            {"name": "tier", "type": "Text", "required": true},
            {"name": "since", "type": "Date"},
            {"name": "score", "type": "Number"},
        ]))
        .unwrap();
        let outcome = |custom: Value| check(&declared, custom.as_object().unwrap()).map_err(|problem| problem.detail);
        assert_eq!(outcome(json!({"tier": "gold", "since": "2026-11-24", "score": 3})), Ok(()));
        assert_eq!(outcome(json!({"tier": "gold", "since": null})), Ok(()));
        assert_eq!(outcome(json!({})), Err("custom.tier: is required".to_owned()));
        assert_eq!(outcome(json!({"tier": 1})), Err("custom.tier: must be a text".to_owned()));
        assert_eq!(outcome(json!({"tier": "gold", "since": "2024-02-29"})), Ok(()));
        let date = "custom.since: must be a date such as 2026-11-24".to_owned();
        for bad in [
            "2026-13-01",
            "2026-02-31",
            "2026-02-29",
            "2026-11-00",
            "24.11.2026",
            "2026-1-1",
            "abcd-01-01",
            "+026-01-01",
            "0026-01-01",
            "",
        ] {
            assert_eq!(outcome(json!({"tier": "gold", "since": bad})), Err(date.clone()), "{bad}");
        }
        assert_eq!(outcome(json!({"tier": "gold", "since": 20_261_124})), Err(date));
        assert!(outcome(json!({"tier": "gold", "color": "red"})).unwrap_err().starts_with("custom.color: there is no"));
    }

    #[test]
    fn what_fits_the_declared_schema_is_read() {
        let schema = validator_for(&from_str(crate::SERVICE.settings.unwrap()).unwrap()).unwrap();
        let of = |field: Value| json!({ "customFields": { "contact": [field] } });
        for good in [
            json!({}),
            json!({ "customFields": { "company": [], "deal": [] } }),
            of(json!({ "name": "loyaltyNumber", "type": "Text", "required": true })),
            of(json!({ "name": "a_1", "type": "Date" })),
            of(json!({ "name": "a", "type": "Number" })),
            of(json!({ "name": "a", "type": "Boolean", "required": false })),
        ] {
            assert!(schema.is_valid(&good) && Settings::deserialize(&good).is_ok(), "{good}");
        }
        for bad in [
            json!({ "fields": [] }),
            json!({ "customFields": { "ticket": [] } }),
            of(json!({ "name": "a" })),
            of(json!({ "name": "a", "type": "Colour" })),
            of(json!({ "name": "a b", "type": "Text" })),
            of(json!({ "name": "a", "type": "Text", "most": 1 })),
        ] {
            assert!(!schema.is_valid(&bad), "{bad}");
        }
    }
}
