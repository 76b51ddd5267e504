//! What all pages have around them.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use easycode_kit::problem::Violation;
use maud::{DOCTYPE, Markup, html};

use super::{theme::Theme, visitor::Visitor};

/// Path of the page to sign in at.
pub const SIGN_IN: &str = "/user/sign-in";

/// Styles and pictures of this origin, and nothing else: no script runs, no other site is asked, and none may frame a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// What is around a page.
#[derive(Default)]
pub struct Frame<'a> {
    /// What it is, in a few words.
    pub title: &'a str,
    /// Who looks at it, if they are signed in.
    pub visitor: Option<&'a Visitor>,
    /// Where the page is, of those in the navigation.
    pub at: &'a str,
    /// What was done.
    pub notice: Option<&'a str>,
    /// What is wrong with what was sent.
    pub errors: &'a [Violation],
    /// Whether there is more style than that of the theme.
    pub styles: Option<String>,
}

impl<'a> Frame<'a> {
    /// Of a page that anyone may see.
    #[must_use]
    pub fn bare(title: &'a str) -> Self {
        Self { title, ..Self::default() }
    }

    /// Of a page for someone who is signed in.
    #[must_use]
    pub fn of(visitor: &'a Visitor, at: &'a str, title: &'a str) -> Self {
        Self { title, visitor: Some(visitor), at, ..Self::default() }
    }

    /// The page.
    #[must_use]
    pub fn show(&self, body: &Markup) -> Response {
        self.answer(StatusCode::OK, body)
    }

    /// The page, with a status of its own.
    #[must_use]
    pub fn answer(&self, status: StatusCode, body: &Markup) -> Response {
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.markup(body).into_string()).into_response()
    }

    fn markup(&self, body: &Markup) -> Markup {
        let context = self.visitor.map(|visitor| &visitor.member.context);
        let theme = Theme::of(context.and_then(|context| context.settings.get("ui")));
        let company = context.map_or("EasyCode", |context| context.display_name.as_str());
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { @if !self.errors.is_empty() { "Error: " } (self.title) " – " (company) }
                    link rel="stylesheet" href="/user/style.css";
                    link rel="stylesheet" href=(theme.address(false));
                    @if let Some(styles) = &self.styles { link rel="stylesheet" href=(styles); }
                }
                body {
                    a class="skip" href="#main" { "Skip to the content" }
                    header { p { (theme.logo_text.as_deref().unwrap_or(company)) } }
                    @if let Some(visitor) = self.visitor { (self.navigation(visitor)) }
                    main id="main" tabindex="-1" {
                        h1 { (self.title) }
                        @if let Some(notice) = self.notice { p class="notice" role="status" { (notice) } }
                        (summary(self.errors))
                        (body)
                    }
                }
            }
        }
    }

    fn navigation(&self, visitor: &Visitor) -> Markup {
        let mut places = vec![("/user/", "Your page")];
        if visitor.is_administrator() {
            places.extend([("/user/people", "People"), ("/user/settings", "Settings"), ("/user/events", "Events")]);
        }
        html! {
            nav aria-label="Pages" {
                ul {
                    @for (path, name) in places {
                        li { a href=(path) aria-current=[(path == self.at).then_some("page")] { (name) } }
                    }
                }
            }
        }
    }
}

/// What is wrong, each with a link to the field.
fn summary(errors: &[Violation]) -> Markup {
    html! {
        @if !errors.is_empty() {
            div class="summary" role="alert" aria-labelledby="summary" {
                h2 id="summary" { "There is something to correct" }
                ul {
                    @for error in errors {
                        li {
                            @if error.pointer.is_empty() { (error.detail) }
                            @else { a href={ "#" (error.pointer) } { (error.pointer) ": " (error.detail) } }
                        }
                    }
                }
            }
        }
    }
}

/// What is sent with all pages and styles.
pub async fn with_headers(mut response: Response) -> Response {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_text_and_nothing_else() {
        let hostile = r#""><script>alert(1)</script>"#;
        let errors = [Violation { pointer: hostile.to_owned(), detail: hostile.to_owned() }];
        let frame = Frame { errors: &errors, notice: Some(hostile), ..Frame::bare(hostile) };
        let page = frame.markup(&html! { (hostile) input value=(hostile); }).into_string();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains(r#"=""><"#), "{page}");
    }
}
