//! Someone who is signed in, by the session's cookie.

use axum::{extract::FromRequestParts, http::request::Parts};
use easycode_kit::{App, Problem};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    failure::Failure,
    forms::{FormToken, Guest},
    kept::Kept,
};
use crate::{
    cookies,
    members::Member,
    sessions::{self, Resumed},
};

/// Someone who looks at pages.
pub struct Visitor {
    /// Who it is.
    pub member: Member,
    /// The token of forms.
    pub token: FormToken,
}

impl Visitor {
    /// Whether it is an administrator of the company.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.member.require_administrator().is_ok()
    }

    fn preference(&self, name: &str) -> Option<&str> {
        self.member.context.settings.get("ui").and_then(|ui: &Value| ui["workflow"][name].as_str())
    }

    /// A time as the company writes it.
    #[must_use]
    pub fn time(&self, at: OffsetDateTime) -> Markup {
        self.moment(Timestamp::from_second(at.unix_timestamp()).unwrap_or_default())
    }

    /// A time that is written by RFC 3339, as the company writes it.
    #[must_use]
    pub fn time_of(&self, text: &str) -> Markup {
        text.parse().map_or_else(|_| html! { (text) }, |at: Timestamp| self.moment(at))
    }

    fn moment(&self, at: Timestamp) -> Markup {
        let zone = self.preference("timeZone").and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        let format = match self.preference("dateFormat") {
            Some("DD.MM.YYYY") => "%d.%m.%Y %H:%M %Z",
            Some("DD/MM/YYYY") => "%d/%m/%Y %H:%M %Z",
            Some("MM/DD/YYYY") => "%m/%d/%Y %H:%M %Z",
            _ => "%Y-%m-%d %H:%M %Z",
        };
        let local = at.to_zoned(zone);
        html! { time datetime=(at) { (local.strftime(format)) } }
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let session = cookies::get(&parts.headers, cookies::SESSION);
        let resumed = match &session {
            Some(session) => sessions::resume(app, session).await?,
            None => None,
        };
        let (Some(session), Some(Resumed { member, extended })) = (session, resumed) else {
            return Err(Failure::SignedOut(cookies::remove(&parts.headers, cookies::SESSION)?));
        };
        if let (Some(left), Some(kept)) = (extended, parts.extensions.get::<Kept>()) {
            kept.keep(cookies::session(&parts.headers, &session, left.whole_seconds())?);
        }
        if member.context.read_only && !parts.method.is_safe() {
            return Err(Problem::moving().into());
        }
        let Guest { token, .. } = Guest::from_request_parts(parts, app).await?;
        Ok(Self { member, token })
    }
}

/// A visitor who administers the company.
pub struct Administrator(pub Visitor);

impl FromRequestParts<App> for Administrator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, app).await?;
        if !visitor.is_administrator() {
            let detail = "this page is for your company's administrators, whose role is tenant-admin";
            return Err(Problem::forbidden("role-required", detail).into());
        }
        Ok(Self(visitor))
    }
}
