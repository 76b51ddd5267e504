//! A keyword of our own in the schemas of settings: no two entries of a list say the same of the property that it names. `uniqueItems`
//! compares entries as a whole. Who does not know it passes over it, as JSON Schema has it.

use std::collections::HashSet;

use jsonschema::{Keyword, ValidationError, paths::Location};
use serde_json::{Map, Value};

/// Its name.
pub const KEYWORD: &str = "x-unique-by";

struct UniqueBy(String);

impl<'i> Keyword<'i> for UniqueBy {
    fn validate(&self, list: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(list) { Ok(()) } else { Err(ValidationError::custom(format!("{} is used twice", self.0))) }
    }

    fn is_valid(&self, list: &'i Value) -> bool {
        repeated(list, &self.0).next().is_none()
    }
}

/// Makes it, of the name of a property.
pub fn keyword<'a>(
    _: &'a Map<String, Value>,
    property: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let property = property.as_str().ok_or_else(|| ValidationError::schema("must be the name of a property"))?;
    Ok(Box::new(UniqueBy(property.to_owned())))
}

/// The entries, by position, that say of the property what one before them says.
pub fn repeated<'a>(list: &'a Value, property: &'a str) -> impl Iterator<Item = (usize, &'a Value)> {
    let mut seen = HashSet::new();
    let entries = list.as_array().into_iter().flatten().enumerate();
    let said = entries.filter_map(move |(at, entry)| Some((at, entry.get(property)?)));
    said.filter(move |(_, value)| !seen.insert(*value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_again_is_repeated() {
        let at = |list: &Value| repeated(list, "name").map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(at(&json!([{ "name": "a" }, { "name": "A" }, {}, {}, { "name": 1 }, { "name": "1" }])), [0; 0]);
        assert_eq!(at(&json!([{ "name": "a" }, { "name": "b" }, { "name": "a" }, { "name": "a", "type": 1 }])), [2, 3]);
        for other in [json!([]), json!(["name", "name"]), json!("name"), json!({ "name": "a" })] {
            assert_eq!(at(&other), [0; 0], "{other}");
        }
    }
}
