//! The parts of forms, each with its label, what is said of it, and what is wrong with it.

use easycode_kit::{Problem, problem::Violation};
use maud::{Markup, Render, html};

/// A field with a label.
pub struct Field<'a> {
    /// Its name, and its id, to which the summary of errors links.
    pub name: &'a str,
    /// What it is for.
    pub label: &'a str,
    /// What is said of it.
    pub hint: &'a str,
    /// What is wrong on the page.
    pub errors: &'a [Violation],
}

impl<'a> Field<'a> {
    /// A field of which nothing is said.
    #[must_use]
    pub fn new(name: &'a str, label: &'a str, errors: &'a [Violation]) -> Self {
        Self { name, label, hint: "", errors }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    /// A line to type, with what the browser is to know of it.
    #[must_use]
    pub fn line(&self, type_: &str, complete: &str, value: &str) -> Markup {
        let (described, invalid) = (self.described(), self.invalid());
        self.around(&html! {
            input id=(self.name) name=(self.name) type=(type_) autocomplete=(complete) value=(value)
                aria-describedby=[described] aria-invalid=[invalid];
        })
    }

    /// Several lines to type.
    #[must_use]
    pub fn lines(&self, rows: usize, value: &str) -> Markup {
        let (described, invalid) = (self.described(), self.invalid());
        self.around(&html! {
            // A browser drops a line break at the beginning, so it gets one to drop.
            textarea class="code" id=(self.name) name=(self.name) rows=(rows) spellcheck="false" autocomplete="off"
                aria-describedby=[described] aria-invalid=[invalid] { "\n" (value) }
        })
    }

    /// One of several values, by value and text.
    #[must_use]
    pub fn choice(&self, options: &[(String, String)], value: &str) -> Markup {
        let (described, invalid) = (self.described(), self.invalid());
        self.around(&html! {
            select id=(self.name) name=(self.name) autocomplete="off" aria-describedby=[described] aria-invalid=[invalid] {
                @for (one, text) in options { option value=(one) selected[one == value] { (text) } }
            }
        })
    }

    fn around(&self, control: &Markup) -> Markup {
        html! {
            div class="field" {
                label for=(self.name) { (self.label) }
                @if !self.hint.is_empty() { p class="hint" id={ (self.name) "-hint" } { (self.hint) } }
                (wrong(self.name, self.errors))
                (control)
            }
        }
    }

    fn described(&self) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let error = of(self.name, self.errors).next().map(|_| format!("{}-error", self.name));
        let both: Vec<_> = hint.into_iter().chain(error).collect();
        (!both.is_empty()).then(|| both.join(" "))
    }

    fn invalid(&self) -> Option<&'static str> {
        of(self.name, self.errors).next().map(|_| "true")
    }
}

/// What is wrong with a field or a group.
#[must_use]
pub fn wrong(name: &str, errors: &[Violation]) -> Markup {
    let texts: Vec<_> = of(name, errors).map(|error| error.detail.as_str()).collect();
    html! { @if !texts.is_empty() { p class="error" id={ (name) "-error" } { (texts.join("; ")) } } }
}

fn of<'a>(name: &'a str, errors: &'a [Violation]) -> impl Iterator<Item = &'a Violation> {
    errors.iter().filter(move |error| error.pointer == name)
}

/// One of several that can be ticked.
#[must_use]
pub fn tick(name: &str, value: &str, id: &str, ticked: bool, text: impl Render) -> Markup {
    html! {
        div class="choice" {
            input type="checkbox" id=(id) name=(name) value=(value) checked[ticked];
            label for=(id) { (text) }
        }
    }
}

/// What a refusal says, at the field that it names if that is one of these.
#[must_use]
pub fn errors_of(problem: &Problem, fields: &[&str]) -> Vec<Violation> {
    let named = problem.detail.split_once(": ").filter(|(name, _)| fields.contains(name));
    let (pointer, detail) = named.unwrap_or(("", &problem.detail));
    vec![Violation { pointer: pointer.to_owned(), detail: detail.to_owned() }]
}
