//! What a list is searched and turned over by: a form, how much was found, and links to the other pages.

use maud::{Markup, html};
use serde::Serialize;

use crate::fleet::query::Found;

/// Where part of a name is typed.
#[must_use]
pub fn search(typed: &str) -> Markup {
    html! { div { label for="q" { "Name or company" } input #q type="search" name="q" value=(typed) maxlength="120"; } }
}

/// A choice of one, or any.
#[must_use]
pub fn select<T: AsRef<str>>(name: &str, label: &str, chosen: &str, options: impl IntoIterator<Item = T>) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "any" }
                @for one in options { option value=(one.as_ref()) selected[one.as_ref() == chosen] { (one.as_ref()) } }
            }
        }
    }
}

/// How much was found.
#[must_use]
pub fn count<T>(found: &Found<T>) -> Markup {
    html! {
        p role="status" { (found.total) " found" @if found.pages > 1 { ", page " (found.page) " of " (found.pages) } }
    }
}

/// Links to the page before and the one after, by the query of each.
pub fn pages<T, Q: Serialize>(path: &str, found: &Found<T>, query: impl Fn(usize) -> Q) -> Markup {
    let link = |page: usize| format!("{path}?{}", serde_urlencoded::to_string(query(page)).unwrap_or_default());
    html! {
        @if found.pages > 1 {
            nav aria-label="Pages" {
                @if found.page > 1 { a rel="prev" href=(link(found.page - 1)) { "Previous page" } " " }
                @if found.page < found.pages { a rel="next" href=(link(found.page + 1)) { "Next page" } }
            }
        }
    }
}
