//! axum's extractors, with refusals as problem documents that name what is wrong.

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Problem;

/// A JSON body, of a request or an answer.
pub struct Json<T>(pub T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// The variable parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(value) = axum::Json::<Value>::from_request(request, state).await?;
        if let Some((path, why)) = unstorable(&value) {
            return Err(Problem::invalid(format!("{path}: {why}")));
        }
        serde_path_to_error::deserialize(value).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let what = error.into_inner().to_string();
            // A missing or unknown field is named by the message, and has no path of its own.
            Problem::invalid(if path == "." { what } else { format!("{path}: {what}") })
        })
    }
}

/// Largest number. Postgres gives the digits of one near the largest float back in full, which nobody can read then.
const LARGEST: f64 = 1e300;

/// Path of the first value that does not survive being stored, and why.
fn unstorable(value: &Value) -> Option<(String, &'static str)> {
    const NUL: &str = "must not contain the character U+0000";
    let below = |name: String, value| {
        unstorable(value)
            .map(|(path, why)| (if path.is_empty() { name.clone() } else { format!("{name}.{path}") }, why))
    };
    match value {
        Value::String(text) => text.contains('\0').then(|| (String::new(), NUL)),
        Value::Number(number) => {
            let fits = number.as_f64().is_some_and(|number| number.abs() <= LARGEST);
            (!fits).then(|| (String::new(), "must be a number of at most 1e300, either way"))
        }
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| below(at.to_string(), item)),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') { Some((name.replace('\0', "\\0"), NUL)) } else { below(name.clone(), field) }
        }),
        _ => None,
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON with Content-Type: application/json")
            }
            status => Self::of(status, text),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let detail = text.split_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
        Self::invalid(detail)
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        // An id that can't be one is the id of nothing.
        Self::not_found("there is no such record")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::unstorable;

    fn path(value: &serde_json::Value) -> Option<String> {
        unstorable(value).map(|(path, _)| path)
    }

    #[test]
    fn nul_is_found_wherever_it_is() {
        assert_eq!(path(&json!({"name": "a\0b"})).as_deref(), Some("name"));
        assert_eq!(path(&json!({"custom": {"tags": ["a", "\0"]}})).as_deref(), Some("custom.tags.1"));
        assert_eq!(path(&json!({"custom": {"a\0": 1}})).as_deref(), Some("custom.a\\0"));
        assert_eq!(path(&json!({"name": "a", "amount": 1})), None);
    }

    #[test]
    fn a_number_that_could_not_be_read_again_is_found() {
        assert_eq!(path(&json!({"custom": {"size": [f64::MIN]}})).as_deref(), Some("custom.size.0"));
        assert_eq!(path(&json!({"custom": [u64::MAX, i64::MIN, 1e300, 5e-324, 0]})), None);
    }
}
