//! The company's settings: what they are, how they change, and the way back. tenant-service keeps them.

use axum::{
    extract::{Path, Query},
    http::StatusCode,
    response::Response,
};
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_kit::{Problem, problem::Violation};
use maud::html;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    failure::Failure,
    forms::Fields,
    layout::Frame,
    preview,
    schema_form::SchemaForm,
    services::{Refusal, Services},
    settings_view::{Entered, Setting, View, who},
    visitor::{Administrator, Visitor},
};

/// Path of the list, and below it of each service's.
pub const HERE: &str = "/user/settings";
/// The settings of no single service.
pub const UI: &str = "ui";

/// How a service's settings are shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct How {
    done: String,
    #[serde(rename = "as")]
    as_: String,
    before: Option<i64>,
}

/// The services that have settings, and what was set.
pub async fn list(Administrator(visitor): Administrator) -> Result<Response, Failure> {
    let services = Services::of(&visitor.member).await?;
    let set: Vec<Setting> = parsed(services.get(TENANT_SERVICE, "/settings").await?)?;
    let entitled = visitor.member.context.entitlements.keys().map(String::as_str);
    let all: Vec<_> = std::iter::once(UI).chain(entitled).collect();
    let body = html! {
        div class="table" tabindex="0" role="region" aria-label="Settings" {
            table {
                caption { "What can be set" }
                thead { tr { th scope="col" { "Of" } th scope="col" { "Version" } th scope="col" { "Changed" } } }
                tbody {
                    @for service in all {
                        @let setting = set.iter().find(|one| one.service == service);
                        tr {
                            th scope="row" { a href={ (HERE) "/" (service) } { (name(service)) } }
                            td { @match setting { Some(one) => (one.version), None => "as by default" } }
                            td { @if let Some(at) = setting.and_then(|one| one.changed_at.as_deref()) { (visitor.time_of(at)) } }
                        }
                    }
                }
            }
        }
    };
    Ok(Frame::of(&visitor, HERE, "Settings").show(&body))
}

/// The settings of one service.
pub async fn show(
    Administrator(visitor): Administrator,
    Path(service): Path<String>,
    Query(how): Query<How>,
) -> Result<Response, Failure> {
    let page = Page::read(&visitor, service).await?;
    let notice = match how.done.as_str() {
        "saved" => Some("Saved. The services have it within a second."),
        "back" => Some("The earlier version is in force again."),
        "reset" => Some("The defaults are in force again."),
        _ => None,
    };
    let entered = Entered { value: page.present.value.clone(), json: (how.as_ == "json").then(String::new) };
    page.show(StatusCode::OK, notice, entered, &[], how.before).await
}

/// Saves, shows a preview, takes a version or the defaults back, as the button says.
pub async fn submit(
    Administrator(visitor): Administrator,
    Path(service): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    let page = Page::read(&visitor, service).await?;
    let version: i64 =
        fields.get("version").parse().map_err(|_| Problem::invalid("the form has no version; load it anew"))?;
    let path = format!("/settings/{}", page.service);
    let as_is = Entered { value: page.present.value.clone(), json: None };
    let (button, number) = fields.get("do").split_once(' ').unwrap_or((fields.get("do"), ""));
    let (method, path, entered, body, done) = match button {
        "save" | "preview" => match page.entered(&fields) {
            Ok(entered) if button == "preview" => {
                let notice = Some("A preview: nothing is saved yet.");
                return page.show(StatusCode::OK, notice, entered, &[], None).await;
            }
            Ok(entered) => (Method::PUT, path, entered.clone(), Some(entered.value), "saved"),
            Err((entered, error)) => {
                return page.show(StatusCode::UNPROCESSABLE_ENTITY, None, entered, &[error], None).await;
            }
        },
        "reset" => (Method::DELETE, path, as_is, None, "reset"),
        "back" => {
            let number: i32 = number.parse().map_err(|_| Problem::invalid("there is no such version"))?;
            (Method::POST, format!("{path}/rollback"), as_is, Some(json!({ "version": number })), "back")
        }
        _ => return Err(Problem::invalid("there is no such button").into()),
    };
    let here = format!("{HERE}/{}", page.service);
    match page.services.ask(method, TENANT_SERVICE, &path, body.as_ref(), Some(version)).await? {
        Ok(_) => Ok(super::to(&format!("{here}?done={done}"))),
        Err(refusal) => page.refused(entered, refusal).await,
    }
}

/// What a page of a service's settings is made of.
struct Page<'a> {
    visitor: &'a Visitor,
    services: Services,
    service: String,
    schema: Value,
    present: Setting,
}

impl<'a> Page<'a> {
    async fn read(visitor: &'a Visitor, service: String) -> Result<Self, Failure> {
        // Into a path of tenant-service goes only what is known.
        if service != UI && !visitor.member.context.allows(&service) {
            return Err(Problem::not_found("your company has no such service").into());
        }
        let services = Services::of(&visitor.member).await?;
        let schema = services.get(TENANT_SERVICE, &format!("/settings/{service}/schema")).await?;
        let present = parsed(services.get(TENANT_SERVICE, &format!("/settings/{service}")).await?)?;
        Ok(Self { visitor, services, service, schema, present })
    }

    /// What was filled in, or what is wrong with the text.
    fn entered(&self, fields: &Fields) -> Result<Entered, (Entered, Violation)> {
        if fields.names().any(|name| name == "json") {
            let text = fields.get("json").to_owned();
            return match serde_json::from_str(&text) {
                Ok(value) => Ok(Entered { value, json: Some(text) }),
                Err(error) => {
                    let detail = format!("it is no JSON: {error}");
                    Err((
                        Entered { value: self.present.value.clone(), json: Some(text) },
                        Violation { pointer: "json".to_owned(), detail },
                    ))
                }
            };
        }
        let form = SchemaForm::of(&self.schema);
        let value = form.map_or_else(|| self.present.value.clone(), |form| form.read(fields));
        Ok(Entered { value, json: None })
    }

    async fn refused(&self, entered: Entered, refusal: Refusal) -> Result<Response, Failure> {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let errors = if status == StatusCode::PRECONDITION_FAILED {
            let by = who(self.visitor, self.present.changed_by.as_deref()).await;
            let detail = format!(
                "The settings were changed meanwhile by {by}, to version {}. What you see below was not saved: look at them again.",
                self.present.version
            );
            vec![Violation { pointer: String::new(), detail }]
        } else {
            refusal.violations()
        };
        let errors = match SchemaForm::of(&self.schema) {
            Some(form) if entered.json.is_none() => form.place(errors),
            _ => errors.into_iter().map(in_text).collect(),
        };
        self.show(status, None, entered, &errors, None).await
    }

    async fn show(
        &self,
        status: StatusCode,
        notice: Option<&str>,
        entered: Entered,
        errors: &[Violation],
        before: Option<i64>,
    ) -> Result<Response, Failure> {
        let before = before.map(|before| format!("?before={before}")).unwrap_or_default();
        let history =
            self.services.get(TENANT_SERVICE, &format!("/settings/{}/versions{before}", self.service)).await?;
        let preview = preview::of(&self.services, &self.service, &entered.value).await;
        let view = View {
            visitor: self.visitor,
            service: &self.service,
            schema: &self.schema,
            present: &self.present,
            history: &parsed(history)?,
            entered: &entered,
            errors,
        };
        let title = format!("Settings: {}", name(&self.service));
        let styles = preview.styles.clone();
        let body = html! { (view.form()) (preview.body) (view.history().await) };
        Ok(Frame { notice, errors, styles, ..Frame::of(self.visitor, HERE, &title) }.answer(status, &body))
    }
}

/// An error of a value that was typed as text is told at the text.
fn in_text(error: Violation) -> Violation {
    let Violation { pointer, detail } = error;
    let detail = if pointer.is_empty() { detail } else { format!("{pointer}: {detail}") };
    Violation { pointer: "json".to_owned(), detail }
}

/// A service in words.
fn name(service: &str) -> &str {
    if service == UI { "company (theme, preferences, notifications)" } else { service }
}

fn parsed<T: serde::de::DeserializeOwned>(document: Value) -> Result<T, Problem> {
    serde_json::from_value(document).map_err(|error| {
        tracing::error!(%error, "tenant-service's answer can't be read");
        Problem::unavailable("the settings can't be read right now; try again")
    })
}
