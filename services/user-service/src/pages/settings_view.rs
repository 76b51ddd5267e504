//! How the settings of a service are shown: as a form or a text, and with their versions.

use std::collections::BTreeMap;

use easycode_kit::problem::Violation;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{controls::Field, preview, schema_form::SchemaForm, settings::HERE, visitor::Visitor};
use crate::accounts;

/// Settings, as tenant-service has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// The service, or `ui`.
    pub service: String,
    /// What is set.
    pub value: Value,
    /// Its number.
    pub version: i64,
    /// When it was changed last.
    pub changed_at: Option<String>,
    /// Who changed it last.
    pub changed_by: Option<String>,
}

/// A page of versions.
#[derive(Deserialize)]
pub struct Versions {
    items: Vec<Version>,
    next: Option<i64>,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "version")]
    number: i64,
    act: String,
    value: Value,
    restored: Option<i64>,
    at: String,
    by: String,
}

/// What was filled in.
#[derive(Clone)]
pub struct Entered {
    /// The value.
    pub value: Value,
    /// The text it was typed as; an empty one is written anew.
    pub json: Option<String>,
}

/// The parts of the page.
pub struct View<'a> {
    /// Who looks at it.
    pub visitor: &'a Visitor,
    /// Whose settings.
    pub service: &'a str,
    /// What they can be.
    pub schema: &'a Value,
    /// What they are.
    pub present: &'a Setting,
    /// What they were.
    pub history: &'a Versions,
    /// What was filled in.
    pub entered: &'a Entered,
    /// What is wrong with that.
    pub errors: &'a [Violation],
}

impl View<'_> {
    /// The form, or the text where no form can be made.
    pub fn form(&self) -> Markup {
        let here = format!("{HERE}/{}", self.service);
        let form = SchemaForm::of(self.schema);
        if form.as_ref().is_some_and(SchemaForm::is_empty) {
            return html! { p { "There is nothing to set here." } };
        }
        let form = form.filter(|_| self.entered.json.is_none());
        html! {
            p { (self.schema["description"].as_str().unwrap_or_default()) }
            form method="post" action=(here) {
                (self.visitor.token.field())
                input type="hidden" name="version" value=(self.present.version);
                @match &form {
                    Some(form) => (form.fields(&self.entered.value, self.errors)),
                    None => (self.text()),
                }
                div class="buttons" {
                    button class="main" name="do" value="save" { "Save" }
                    @if preview::exists(self.service) { button name="do" value="preview" { "Show a preview" } }
                }
            }
            p {
                @match &form {
                    Some(_) => a href={ (here) "?as=json" } { "Edit as JSON" },
                    None => a href=(here) { "Edit as a form" },
                }
                " – " a href=(here) { "Look at them as they are now" }
            }
        }
    }

    fn text(&self) -> Markup {
        let typed = self.entered.json.as_deref().filter(|text| !text.is_empty());
        let written = || serde_json::to_string_pretty(&self.entered.value).unwrap_or_default();
        let text = typed.map_or_else(written, str::to_owned);
        let field = Field::new("json", "Settings as JSON", self.errors);
        field.hint("An object that fits the service's schema.").lines(16, &text)
    }

    /// The versions, each with a button to take it back.
    pub async fn history(&self) -> Markup {
        let here = format!("{HERE}/{}", self.service);
        let mut people = BTreeMap::new();
        for version in &self.history.items {
            if !people.contains_key(&version.by) {
                people.insert(version.by.clone(), who(self.visitor, Some(&version.by)).await);
            }
        }
        let back = |version: &Version| {
            html! {
                form method="post" action=(here) {
                    (self.visitor.token.field())
                    input type="hidden" name="version" value=(self.present.version);
                    button name="do" value={ "back " (version.number) } aria-label={ "Take it back: version " (version.number) } { "Take it back" }
                }
            }
        };
        html! {
            h2 { "Versions" }
            @if self.history.items.is_empty() { p { "Nothing was ever set." } }
            @else {
                div class="table" tabindex="0" role="region" aria-label="Versions" {
                    table {
                        caption { "Newest first" }
                        thead {
                            tr {
                                th scope="col" { "Version" } th scope="col" { "What" } th scope="col" { "When" }
                                th scope="col" { "By" } th scope="col" { "Value" } th scope="col" { "Way back" }
                            }
                        }
                        tbody {
                            @for version in &self.history.items {
                                tr {
                                    th scope="row" { (version.number) }
                                    td { (act(version)) }
                                    td { (self.visitor.time_of(&version.at)) }
                                    td { (people.get(&version.by).map_or(version.by.as_str(), String::as_str)) }
                                    td class="code" { (version.value) }
                                    td { @if version.number == self.present.version { "in force" } @else { (back(version)) } }
                                }
                            }
                        }
                    }
                }
                @if let Some(next) = self.history.next { p { a href={ (here) "?before=" (next) } { "Older versions" } } }
            }
            form method="post" action=(here) {
                (self.visitor.token.field())
                input type="hidden" name="version" value=(self.present.version);
                button name="do" value="reset" { "Take the defaults back" }
            }
        }
    }
}

fn act(version: &Version) -> Markup {
    html! {
        @match (version.act.as_str(), version.restored) {
            ("Rollback", Some(restored)) => { "version " (restored) " taken back" }
            ("Reset", _) => "defaults taken back",
            _ => "set",
        }
    }
}

/// Someone who changed something, by name if the company still knows them.
pub async fn who(visitor: &Visitor, subject: Option<&str>) -> String {
    let Some(subject) = subject else { return "nobody".to_owned() };
    let Ok(id) = subject.parse() else { return subject.to_owned() };
    let user = accounts::read(&visitor.member, id).await;
    user.map_or_else(|_| subject.to_owned(), |user| format!("{} ({})", user.name, user.email))
}
