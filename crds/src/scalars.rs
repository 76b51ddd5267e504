//! Scalars with a format: durations and amounts of storage. Each parses what its schema admits, and nothing else.

use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time: a whole number of at most nine digits and a unit, one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(time::Duration);

/// An amount of storage: a whole number of at most six digits and a unit, one of `Mi`, `Gi`, `Ti`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Storage(u64);

/// Why a text is no such scalar.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not {expected}")]
pub struct InvalidScalar {
    text: String,
    expected: &'static str,
}

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const STORAGE_UNITS: [(&str, u64); 3] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20)];

impl Duration {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// In whole milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Storage {
    /// From whole gibibytes.
    #[must_use]
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Splits a text into a positive number of at most so many digits and its unit, and returns number times unit.
fn parse(text: &str, longest: usize, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    if number.len() > longest || number.starts_with('0') {
        return None;
    }
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// The shortest exact notation: the largest unit that divides the amount.
fn print(amount: u64, units: &[(&str, u64)]) -> String {
    let (name, size) = units.iter().find(|(_, size)| amount.is_multiple_of(*size)).unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", amount / size)
}

impl FromStr for Duration {
    type Err = InvalidScalar;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, 9, &DURATION_UNITS)
            .map(|millis| Self(time::Duration::from_millis(millis)))
            .ok_or_else(|| InvalidScalar { text: text.to_owned(), expected: "a duration such as 90s, 15m, 4h or 30d" })
    }
}

impl FromStr for Storage {
    type Err = InvalidScalar;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, 6, &STORAGE_UNITS).map(Self).ok_or_else(|| InvalidScalar {
            text: text.to_owned(),
            expected: "an amount of storage such as 512Mi or 10Gi",
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self.millis(), &DURATION_UNITS))
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self.0, &STORAGE_UNITS))
    }
}

macro_rules! scalar {
    ($name:ident, $pattern:literal, $description:literal) => {
        impl TryFrom<String> for $name {
            type Error = InvalidScalar;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    // Longer than whatever is admitted, so that what is too long is told what it should be.
                    "maxLength": 40,
                    "description": $description,
                    "x-kubernetes-validations": [{
                        "rule": concat!("self.matches('", $pattern, "')"),
                        "message": concat!("must be ", $description),
                    }],
                })
            }
        }
    };
}

scalar!(
    Duration,
    "^[1-9][0-9]{0,8}(ms|s|m|h|d)$",
    "a duration: a whole number of at most nine digits and ms, s, m, h or d, such as 90s, 15m, 4h or 30d"
);
scalar!(
    Storage,
    "^[1-9][0-9]{0,5}(Mi|Gi|Ti)$",
    "an amount of storage: a whole number of at most six digits and Mi, Gi or Ti, such as 512Mi or 10Gi"
);

/// The schema of a duration within bounds, both of them admitted and whole seconds.
pub(crate) fn between(generator: &mut SchemaGenerator, least: Duration, most: Duration) -> Schema {
    let mut schema = Duration::json_schema(generator);
    if let Some(serde_json::Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") {
        // Of so many digits that the rule can't overflow. It knows no days, and takes them for hours.
        let within = |text: &str, hours: u64| {
            let (least, most) = (least.millis() / hours, most.millis() / hours);
            format!("duration({text}) >= duration('{least}ms') && duration({text}) <= duration('{most}ms')")
        };
        rules.push(serde_json::json!({
            "rule": format!(
                "self.matches('^([0-9]{{1,9}}(ms|s)|[0-9]{{1,6}}(m|h|d))$') && (self.endsWith('d') ? {} : {})",
                within("self.replace('d', 'h')", 24),
                within("self", 1),
            ),
            "message": format!("must be at least {least} and at most {most}"),
        }));
    }
    schema
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_no_duration() {
        for bad in ["", "5", "m", "0m", "-1h", "1.5h", "1h30m", "PT5M", "1w", "1 h", "9999999999s"] {
            assert!(bad.parse::<Duration>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn refuses_what_is_no_storage() {
        for bad in ["", "10", "10G", "0Gi", "1.5Gi", "10gi", "1000000Ti"] {
            assert!(bad.parse::<Storage>().is_err(), "{bad:?} passed");
        }
    }

    proptest! {
        #[test]
        fn durations_survive_printing(text in "[1-9][0-9]{0,8}(ms|s|m|h|d)") {
            let duration: Duration = text.parse().unwrap();
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }

        #[test]
        fn storage_survives_printing(text in "[1-9][0-9]{0,5}(Mi|Gi|Ti)") {
            let storage: Storage = text.parse().unwrap();
            prop_assert_eq!(storage.to_string().parse::<Storage>().unwrap(), storage);
        }
    }
}
