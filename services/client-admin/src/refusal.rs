//! Why something is not done: a problem document, with the conflicts or the faults where there are any.

use axum::response::{IntoResponse, Response};
use easycode_kit::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::change::conflict::{Conflict, Fault};

/// A refusal.
#[derive(Debug)]
pub enum Refusal {
    /// For a reason that a sentence tells.
    Problem(Problem),
    /// Fields belong to other managers.
    Conflicts(Vec<Conflict>),
    /// Values are not acceptable.
    Invalid(Vec<Fault>),
}

/// A problem document (RFC 9457) with what a program needs to go on.
#[derive(Serialize, ToSchema)]
pub struct ProblemDocument {
    #[serde(flatten)]
    problem: Problem,
    /// Fields that other managers own, of code `conflict`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<Conflict>,
    /// Values that are not acceptable, of code `invalid`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let document = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Conflicts(conflicts) => {
                let fields: Vec<_> = conflicts.iter().map(|one| one.field.as_str()).collect();
                let detail = format!(
                    "other managers own {}; leave those fields as they are, or have an administrator take them over",
                    fields.join(", ")
                );
                ProblemDocument { problem: Problem::conflict(detail), conflicts, errors: Vec::new() }
            }
            Self::Invalid(errors) => {
                let told = errors.iter().map(|fault| match fault.field.as_str() {
                    "" => fault.message.clone(),
                    field => format!("{field}: {}", fault.message),
                });
                let detail = told.collect::<Vec<_>>().join("; ");
                ProblemDocument { problem: Problem::invalid(detail), conflicts: Vec::new(), errors }
            }
        };
        document.problem.answer(&document)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn a_conflict_lists_fields_owners_and_values() {
        let conflict = Conflict {
            field: "spec.limits.users".into(),
            managers: vec!["argocd".into()],
            present: 5.into(),
            wanted: 9.into(),
            may_be_taken: true,
        };
        let response = Refusal::Conflicts(vec![conflict]).into_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "conflict");
        assert_eq!(body["conflicts"][0]["managers"][0], "argocd");
        assert_eq!((&body["conflicts"][0]["present"], &body["conflicts"][0]["wanted"]), (&5.into(), &9.into()));
    }
}
