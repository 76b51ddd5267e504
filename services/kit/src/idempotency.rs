//! Requests that may be sent twice: the caller gives each a key of its own in `Idempotency-Key`, and the service keeps it with
//! what it made, in the same transaction.

use axum::{extract::FromRequestParts, http::request::Parts};
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::Problem;

/// Longest key.
const LONGEST: usize = 100;

/// The key of a request, if it has one.
#[derive(Clone, Debug)]
pub struct RequestKey(pub Option<String>);

impl RequestKey {
    /// Refuses a key that came with another request before. Both are fingerprints of what was asked for.
    pub fn same(before: Option<&str>, now: &str) -> Result<(), Problem> {
        if before == Some(now) {
            return Ok(());
        }
        Err(Problem::conflict("Idempotency-Key: was used for another request before; give each its own"))
    }
}

impl IntoParams for RequestKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^[!-~]{{1,{LONGEST}}}$")));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "A key of its own for each request, such as a UUID: what is sent again with it is done once.",
            ))
            .schema(Some(key));
        vec![parameter.build()]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len()));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            Problem::invalid(format!("Idempotency-Key: must be 1 to {LONGEST} visible characters, such as a UUID"))
        })
    }
}
