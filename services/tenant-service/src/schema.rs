//! A schema of settings, and what it says of a value.

use anyhow::anyhow;
use easycode_kit::{Problem, problem::Violation};
use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind, paths::Location};
use serde_json::Value;

use crate::unique;

/// Most violations that are told at once.
const MOST: usize = 20;
/// Longest text about one.
const LONGEST: usize = 300;

/// A JSON Schema, ready to check values.
pub struct Schema {
    document: Value,
    validator: Validator,
}

impl Schema {
    /// Takes a document that is a JSON Schema by itself: nothing is fetched, and patterns take linear time.
    pub fn compile(document: Value) -> anyhow::Result<Self> {
        let options = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .with_keyword(unique::KEYWORD, unique::keyword);
        let validator = options.build(&document).map_err(|error| anyhow!("it is no JSON Schema: {error}"))?;
        Ok(Self { document, validator })
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Refuses a value that does not fit, with where and why.
    pub fn check(&self, service: &str, value: &Value) -> Result<(), Problem> {
        let errors = self.validator.iter_errors(value).flat_map(|error| self.told(&error));
        let errors: Vec<_> = errors.take(MOST).collect();
        let Some(Violation { pointer, detail }) = errors.first() else { return Ok(()) };
        let first = if pointer.is_empty() { detail.clone() } else { format!("{pointer}: {detail}") };
        let others = if errors.len() > 1 { "; there is more in errors" } else { "" };
        Err(Problem::violations(format!("the settings of {service} don't fit: {first}{others}"), errors))
    }

    /// What is missing, unknown or there twice is told where it is or would be, and not of what is around it.
    fn told(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let at = |location: &Location, detail: &str| Violation {
            pointer: location.as_str().to_owned(),
            detail: detail.chars().take(LONGEST).collect(),
        };
        let around = error.instance_path();
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![at(&around.join(name), "is required")]
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let unknown = |name: &String| at(&around.join(name.as_str()), "there is no such setting");
                unexpected.iter().take(MOST).map(unknown).collect()
            }
            // A pattern says nothing to people; its description does.
            ValidationErrorKind::Pattern { .. } => {
                let expected = self.description(error.schema_path().as_str());
                vec![at(around, &expected.map_or_else(|| error.masked_with("the value").to_string(), str::to_owned))]
            }
            ValidationErrorKind::Custom { keyword, .. } if keyword == unique::KEYWORD => {
                let property = self.said(error.schema_path().as_str()).unwrap_or_default();
                let twice = |(entry, value): (usize, &Value)| {
                    at(&around.join(entry).join(property), &format!("another one is {value} already"))
                };
                unique::repeated(error.instance(), property).take(MOST).map(twice).collect()
            }
            _ => vec![at(around, &error.masked_with("the value").to_string())],
        }
    }

    /// What the schema says of that which one of its keywords constrains.
    fn description(&self, keyword: &str) -> Option<&str> {
        let (owner, _) = keyword.rsplit_once('/')?;
        self.said(&format!("{owner}/description"))
    }

    /// The text at a place of the schema.
    fn said(&self, pointer: &str) -> Option<&str> {
        self.document.pointer(pointer)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let name = json!({ "type": "string", "pattern": "^[a-z]+$", "description": "Lower-case letters." });
        Schema::compile(json!({
            "type": "object", "additionalProperties": false,
            "properties": { "fields": { "type": "array", "maxItems": 100, "x-unique-by": "name", "items": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": { "name": { "$ref": "#/$defs/name" }, "kind": { "enum": ["Text", "Date"] } },
            } } },
            "$defs": { "name": name },
        }))
        .unwrap()
    }

    fn violations(value: &Value) -> Vec<(String, String)> {
        let errors = schema().check("crm", value).unwrap_err().errors;
        errors.into_iter().map(|one| (one.pointer, one.detail)).collect()
    }

    #[test]
    fn each_violation_is_told_with_where_it_is() {
        schema().check("crm", &json!({ "fields": [{ "name": "tier", "kind": "Text" }] })).unwrap();
        let one = |pointer: &str, detail: &str| vec![(pointer.to_owned(), detail.to_owned())];
        assert_eq!(violations(&json!({ "a/b": 1 })), one("/a~1b", "there is no such setting"));
        assert_eq!(violations(&json!({ "fields": [{}] })), one("/fields/0/name", "is required"));
        let wrong = json!({ "fields": [{ "name": "a" }, { "name": "A" }] });
        assert_eq!(violations(&wrong), one("/fields/1/name", "Lower-case letters."));
        let wrong = json!({ "fields": [{ "name": "a", "kind": "Secret" }] });
        assert_eq!(violations(&wrong), one("/fields/0/kind", r#"the value is not one of "Text" or "Date""#));
        let twice = json!({ "fields": [{ "name": "a", "kind": "Text" }, { "name": "a", "kind": "Date" }] });
        assert_eq!(violations(&twice), one("/fields/1/name", r#"another one is "a" already"#));
        let problem = schema().check("crm", &json!({ "fields": 1 })).unwrap_err();
        let detail = r#"the settings of crm don't fit: /fields: the value is not of type "array""#;
        assert_eq!((problem.status, problem.detail.as_str()), (422, detail));
    }

    #[test]
    fn no_more_is_told_than_a_person_reads() {
        for name in ["A", "a"] {
            let many: Vec<_> = (0..90).map(|_| json!({ "name": name })).collect();
            assert_eq!(violations(&json!({ "fields": many })).len(), MOST);
        }
        let names: serde_json::Map<_, _> = (0..90).map(|at| (format!("{at}{}", "x".repeat(900)), json!(1))).collect();
        let told = violations(&Value::Object(names));
        assert!(told.len() == MOST && told.iter().all(|(_, detail)| detail.len() <= LONGEST));
    }

    #[test]
    fn nothing_is_fetched() {
        for elsewhere in ["https://example.com/schema.json", "file:///etc/passwd"] {
            assert!(Schema::compile(json!({ "$ref": elsewhere })).is_err());
        }
        assert!(Schema::compile(json!({ "type": "colour" })).is_err());
        assert!(Schema::compile(json!({ "x-unique-by": 1 })).is_err());
    }
}
