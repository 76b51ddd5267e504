//! What all records have in common: how a change names the version it was made for, how many lines one has.

use axum::http::{HeaderMap, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::Problem;

/// Most lines of a record.
const MOST_LINES: usize = 200;

/// `If-Match` as OpenAPI describes it; [`expected_version`] reads it.
pub struct IfMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let version =
            ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^"[0-9]{1,9}"$"#)).examples(["\"1\""]);
        let parameter = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The version that the caller has seen, in double quotes; no other is changed."))
            .schema(Some(version));
        vec![parameter.build()]
    }
}

/// The version in `If-Match`, if there is one.
pub fn expected_version(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    version.map(Some).ok_or_else(|| Problem::invalid("If-Match: must be a record's version in double quotes"))
}

/// Why a change hit no record: it is gone, or has another version.
#[must_use]
pub fn untouched(exists: bool, kind: &str) -> Problem {
    if exists {
        Problem::changed(format!("the {kind} was changed meanwhile; read it and try again"))
    } else {
        Problem::not_found(format!("there is no such {kind}"))
    }
}

/// Refuses a record that has fewer lines than the least, or too many.
pub fn bounded(lines: usize, least: usize) -> Result<(), Problem> {
    if (least..=MOST_LINES).contains(&lines) {
        return Ok(());
    }
    Err(Problem::invalid(format!("lines: there must be {least} to {MOST_LINES}")))
}

/// A short text that differs for what was sent differently, by which the same request is known again.
///
/// # Panics
/// Never: what came in as JSON goes out as such.
#[must_use]
pub fn fingerprint(input: &impl Serialize) -> String {
    let text = serde_json::to_vec(input).expect("it has only string keys");
    let digest = Sha256::digest(text);
    digest[..16].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
