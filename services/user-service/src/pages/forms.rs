//! What is sent by the forms of pages. Each form carries a token that only a page for the same browser has: other sites can have a
//! browser send what they like, and can't read it.

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_kit::{App, Problem};
use maud::{Markup, html};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use crate::{cookies, secret::Secret};

/// Name of the field with the token.
const TOKEN: &str = "form-token";
/// Cookie that stands for a browser in which nobody is signed in.
const BROWSER: &str = "easycode-browser";
/// How long it is kept.
const BROWSER_SECONDS: i64 = 24 * 60 * 60;
/// Most fields of a form.
const MOST_FIELDS: usize = 2000;

/// The token of a browser's forms.
#[derive(Clone)]
pub struct FormToken(String);

impl FormToken {
    /// That of the session, or of the browser if nobody is signed in.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let key = cookies::get(headers, cookies::SESSION).or_else(|| cookies::get(headers, BROWSER))?;
        Some(Self::by(&key))
    }

    fn by(key: &Secret) -> Self {
        let digest = Sha256::new().chain_update("easycode form\0").chain_update(key.reveal()).finalize();
        Self(BASE64_URL_SAFE_NO_PAD.encode(digest))
    }

    /// The field.
    pub fn field(&self) -> Markup {
        html! { input type="hidden" name=(TOKEN) value=(self.0); }
    }

    /// Digests are compared, so that the time it takes tells nothing of the token.
    fn is(&self, shown: &str) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(shown)
    }
}

/// Someone who need not be signed in.
pub struct Guest {
    /// The token of forms.
    pub token: FormToken,
    /// The cookie that it goes by, if the browser has none yet.
    pub cookie: Option<HeaderValue>,
}

impl FromRequestParts<App> for Guest {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        if let Some(token) = FormToken::of(&parts.headers) {
            return Ok(Self { token, cookie: None });
        }
        let key = Secret::from(BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let cookie = cookies::set(&parts.headers, BROWSER, key.reveal(), BROWSER_SECONDS)?;
        Ok(Self { token: FormToken::by(&key), cookie: Some(cookie) })
    }
}

/// What a form of ours was filled in with.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a field, without space around it.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default().trim()
    }

    /// A value as it was typed, which is not to be seen.
    #[must_use]
    pub fn secret(&self, name: &str) -> Secret {
        Secret::from(self.all(name).next().unwrap_or_default().to_owned())
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// For tests.
    #[cfg(test)]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

impl FromRequest<App> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let token = FormToken::of(request.headers());
        let own = is_own(request.headers());
        let Form(fields) = Form::<Vec<(String, String)>>::from_request(request, app)
            .await
            .map_err(|rejection| Problem::of(rejection.status(), "the form can't be read"))?;
        let fields = Self(fields);
        if !own || !token.is_some_and(|token| token.is(fields.get(TOKEN))) {
            let detail =
                "this form was not sent from a page of this session; go back, load the page anew, and try again";
            return Err(Problem::forbidden("foreign-form", detail).into());
        }
        if fields.0.len() > MOST_FIELDS {
            return Err(Problem::of(StatusCode::PAYLOAD_TOO_LARGE, "the form has too many fields").into());
        }
        Ok(fields)
    }
}

/// Whether a page of ours sent it, as far as the browser tells.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return true };
    origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == cookies::host(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_token_is_of_one_session_alone() {
        let token = |cookie| FormToken::of(&headers(&[("cookie", cookie)]));
        let mine = token("easycode-session=a; easycode-browser=b").unwrap();
        assert!(mine.is(&token("easycode-session=a").unwrap().0));
        assert!(!mine.is(&token("easycode-session=b").unwrap().0) && !mine.is("") && !mine.is("a"));
        assert!(token("x=y").is_none());
    }

    #[test]
    fn other_sites_forms_are_refused_where_the_browser_tells() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            is_own(&headers(&[&[("host", "erp.example.com")], pairs].concat()))
        };
        assert!(from(&[]) && from(&[("sec-fetch-site", "same-origin"), ("origin", "https://erp.example.com")]));
        assert!(from(&[("origin", "https://erp.example.com")]));
        for foreign in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "null")] {
            assert!(!from(&[foreign]), "{foreign:?}");
        }
        assert!(!from(&[("origin", "https://erp.example.com.evil.example")]));
    }
}
