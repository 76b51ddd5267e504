//! What can't be shown, and why.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use easycode_kit::Problem;
use maud::html;

use super::layout::{Frame, SIGN_IN};

/// Why there is no page.
pub enum Failure {
    /// Nobody is signed in, or not any more; the cookie of before is removed.
    SignedOut(HeaderValue),
    /// Something else, as the API would say it.
    Refused(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut(cookie) => {
                let cookie = AppendHeaders([(header::SET_COOKIE, cookie)]);
                (StatusCode::SEE_OTHER, cookie, [(header::LOCATION, SIGN_IN)]).into_response()
            }
            Self::Refused(problem) => {
                let body = html! {
                    p { (problem.detail) }
                    p { a href="/user/" { "To your own page" } }
                };
                Frame::bare(problem.title).answer(problem.status_code(), &body)
            }
        }
    }
}
