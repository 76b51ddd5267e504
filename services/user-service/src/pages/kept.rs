//! A session that is used goes on, and so has the cookie that keeps it in the browser.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// The cookie to be sent with whatever the answer is, if the session's life was counted anew meanwhile.
#[derive(Clone, Default)]
pub struct Kept(Arc<OnceLock<HeaderValue>>);

impl Kept {
    /// Has the cookie sent.
    pub fn keep(&self, cookie: HeaderValue) {
        // A request has one session, so there is none yet.
        let _ = self.0.set(cookie);
    }
}

/// Lets who looks at the request have a cookie sent with the answer.
pub async fn with_session(mut request: Request, next: Next) -> Response {
    let kept = Kept::default();
    request.extensions_mut().insert(kept.clone());
    let mut response = next.run(request).await;
    if let Some(cookie) = kept.0.get() {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{Extension, Router, http::StatusCode, middleware, routing::get};
    use easycode_listener::Limits;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_cookie_comes_with_the_answer_whatever_that_is() {
        let extended = async |Extension(kept): Extension<Kept>| {
            kept.keep(HeaderValue::from_static("session=a; Max-Age=43200"));
            StatusCode::NOT_FOUND
        };
        let router = Router::new()
            .route("/extended", get(extended))
            .route("/young", get(|| async { "nothing to be done" }))
            .layer(middleware::from_fn(with_session));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(easycode_listener::serve(listener, router, Limits::default(), std::future::pending()));
        let cookie = async |path: &str| {
            let answer = easycode_kit::http::client().get(format!("http://{address}/{path}")).send().await.unwrap();
            answer.headers().get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned())
        };
        assert_eq!(cookie("extended").await.as_deref(), Some("session=a; Max-Age=43200"));
        assert_eq!(cookie("young").await, None);
    }
}
