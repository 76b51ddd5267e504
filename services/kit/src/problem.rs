//! Errors as RFC 9457 problem documents. What went wrong inside is logged, never sent.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::{document, token::Rejected};

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:easycode:problem:` and the code.
    #[serde(rename = "type")]
    pub type_: String,
    /// The status in words.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What a person can do about it.
    pub detail: String,
    /// For programs, such as `not-entitled`.
    pub code: &'static str,
    /// What exactly is not acceptable, where more can be said than in `detail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Violation>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// One thing that is not acceptable in what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) to it; empty for the whole.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            type_: format!("urn:easycode:problem:{code}"),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The given status, for what HTTP itself demands.
    pub fn of(status: StatusCode, detail: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => "bad-request",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::TOO_MANY_REQUESTS => "too-many-requests",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            _ => "refused",
        };
        Self::new(status, code, detail)
    }

    /// 401: no token, or none that counts.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403: known, and not allowed.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404: there is no such thing for this tenant.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: it contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 412: it was changed meanwhile.
    pub fn changed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", detail)
    }

    /// 422: the input is not acceptable; name the field.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// 422: several things are not acceptable, each with where it is.
    pub fn violations(detail: impl Into<String>, errors: Vec<Violation>) -> Self {
        Self { errors, ..Self::invalid(detail) }
    }

    /// 429: the tenant's limit of requests.
    #[must_use]
    pub fn too_many() -> Self {
        let detail = "the tenant's limit of requests a second is reached; slow down";
        Self { retry_after: Some(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail) }
    }

    /// 507: the tenant's records take all the storage that it may have.
    #[must_use]
    pub fn storage_full() -> Self {
        let detail = "the company's storage is used up, so nothing can be added or changed; delete what is no longer needed, or have EasyCode \
                      raise the limit";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", detail)
    }

    /// 503: try again soon.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    /// 503: the tenant's data is being moved, and can only be read meanwhile.
    #[must_use]
    pub fn moving() -> Self {
        let detail = "the company's data is being moved, and can only be read meanwhile; try again in a few seconds";
        Self { retry_after: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "moving", detail) }
    }

    /// 500: a fault of ours.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "an unexpected fault; it was logged with the request's id (x-request-id)";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl Problem {
    /// HTTP status, for an answer that says the same in another form.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The answer with a document that tells more than the problem alone.
    pub fn answer(&self, document: &impl Serialize) -> Response {
        let mut response = (self.status_code(), Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(document::PROBLEM));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.answer(&self)
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid(_) => Self::unauthorized(rejected.to_string()),
            Rejected::NoKeys => Self::unavailable(rejected.to_string()),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            if matches!(error, sqlx::Error::RowNotFound) {
                return Self::not_found("there is no such record");
            }
            if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
                error!(%error, "database");
                return Self::internal();
            }
            warn!(%error, "database");
            return Self::unavailable("the database does not answer; try again");
        };
        match database.code().as_deref() {
            Some("23505") => Self::conflict(format!("{}: another record has the same value", field(&**database))),
            // Postgres tells by its words alone which side of a reference is at fault.
            Some("23503") if database.message().starts_with("insert or update") => {
                Self::invalid(format!("{}: there is no such record", field(&**database)))
            }
            Some("23503") => Self::conflict(format!(
                "other records still refer to it ({})",
                database.table().unwrap_or("another kind")
            )),
            Some("23514" | "23502") => Self::invalid(format!("{}: the value is not acceptable", field(&**database))),
            Some("22001" | "22003" | "22P02" | "22007" | "22008" | "22021" | "22P05" | "54000") => {
                Self::invalid(format!("a value is not acceptable: {}", database.message()))
            }
            // Within its own schema a tenant may do everything, unless its data is being moved. (Whether its role may be taken at
            // all is told where that is tried.)
            Some("42501" | "25006") => Self::moving(),
            Some("57014") => Self::unavailable("the query took longer than the tenant's limit; ask for less"),
            Some("55P03" | "40001" | "40P01") => Self::unavailable("someone else changes the same record; try again"),
            Some(code) if ["08", "28", "53", "57"].iter().any(|class| code.starts_with(class)) => {
                warn!(%error, "database");
                Self::unavailable("the database does not answer; try again")
            }
            _ => {
                error!(%error, "database");
                Self::internal()
            }
        }
    }
}

/// The field of the API that a constraint speaks of. Constraints are named `<table>_<column>_<kind>`, by Postgres and here.
fn field(error: &dyn sqlx::error::DatabaseError) -> String {
    let table = error.table().unwrap_or_default();
    let Some(constraint) = error.constraint() else {
        let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
        return camel_case(error.and_then(sqlx::postgres::PgDatabaseError::column).unwrap_or("a field"));
    };
    let name = constraint.strip_prefix(table).map_or(constraint, |rest| rest.trim_start_matches('_'));
    let kinds = ["_check", "_key", "_fkey", "_unique", "_form"];
    camel_case(kinds.iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::camel_case;

    #[test]
    fn columns_are_named_as_the_api_names_them() {
        assert_eq!(camel_case("family_name"), "familyName");
        assert_eq!(camel_case("email"), "email");
    }
}
