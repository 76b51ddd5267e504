//! The cookies of the pages: the session's token, and what is remembered while someone is at the identity provider. Only paths of this
//! service get them, no script reads them, and other sites don't have them sent with what they make a browser post.

use axum::http::{HeaderMap, HeaderValue, header};
use easycode_kit::Problem;

use crate::secret::Secret;

/// The session's token.
pub const SESSION: &str = "easycode-session";
/// What is remembered of a sign-in at the identity provider.
pub const ATTEMPT: &str = "easycode-sign-in";
/// Paths that get them.
const PATH: &str = "/user/";

/// The cookie that keeps a session in a browser, for as many seconds as the session lives without being used.
pub fn session(headers: &HeaderMap, token: &Secret, seconds: i64) -> Result<HeaderValue, Problem> {
    set(headers, SESSION, token.reveal(), seconds)
}

/// A cookie that lives for so many seconds; none removes it.
pub fn set(headers: &HeaderMap, name: &str, value: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let secure = if is_local(headers) { "" } else { "; Secure" };
    let text = format!("{name}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut cookie = HeaderValue::from_str(&text).map_err(|_| Problem::internal())?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// Removes a cookie.
pub fn remove(headers: &HeaderMap, name: &str) -> Result<HeaderValue, Problem> {
    set(headers, name, "", 0)
}

/// A cookie of the request.
#[must_use]
pub fn get(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(one, _)| *one == name).map(|(_, value)| Secret::from(value.to_owned()))
}

/// Host and port that the browser asks.
#[must_use]
pub fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// Whether it is the own machine, to which a browser speaks without TLS.
#[must_use]
pub fn is_local(headers: &HeaderMap) -> bool {
    host(headers).is_some_and(|host| ["localhost", "127.0.0.1"].contains(&host.split(':').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str, cookie: &'static str) -> HeaderMap {
        [(header::HOST, host), (header::COOKIE, cookie)]
            .map(|(name, text)| (name, HeaderValue::from_static(text)))
            .into_iter()
            .collect()
    }

    #[test]
    fn cookies_are_secure_but_on_the_own_machine() {
        let text = |host| set(&headers(host, ""), SESSION, "abc", 60).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            text("erp.example.com"),
            "easycode-session=abc; Path=/user/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(!text("localhost:8080").contains("Secure"));
        assert!(text("localhost.example.com").contains("Secure"));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers("localhost", "a=1; easycode-session=x=y; easycode-session-2=z");
        assert_eq!(get(&headers, SESSION).unwrap().reveal(), "x=y");
        assert!(get(&headers, ATTEMPT).is_none());
    }
}
