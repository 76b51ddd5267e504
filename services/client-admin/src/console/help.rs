//! What each reason means and what to do: the table of the runbook, so that there is one text of it.

use maud::{Markup, html};

use super::layout::Page;
use crate::session::Session;

const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");

/// One row of the table.
struct Row {
    reason: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

fn rows() -> Vec<Row> {
    let table = RUNBOOK.split("\n## ").find(|section| section.starts_with("Reasons")).unwrap_or_default();
    let lines = table.lines().filter(|line| line.starts_with("| `"));
    lines
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            let (reason, meaning, remedy) = (cells.next()?, cells.next()?, cells.next()?);
            Some(Row { reason: reason.trim_matches('`'), meaning, remedy })
        })
        .collect()
}

/// Text in which backticks mark code. What it refers to below is in the runbook, and not on this page.
fn marked(text: &str) -> Markup {
    let text = unlinked(text);
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn unlinked(text: &str) -> String {
    let Some((before, link)) = text.split_once("[below](#") else { return text.to_owned() };
    let after = link.split_once(')').map_or("", |(_, after)| after);
    format!("{before}the runbook{}", unlinked(after))
}

/// The page.
pub async fn page(session: Session) -> Markup {
    let content = html! {
        div.scroll tabindex="0" {
            table {
                caption { "Why something is not ready, and what to do about it" }
                thead { tr { th scope="col" { "Reason" } th scope="col" { "Means" } th scope="col" { "What to do" } } }
                tbody {
                    @for row in rows() {
                        tr id=(row.reason) {
                            th scope="row" { (row.reason) }
                            td { (marked(row.meaning)) }
                            td { (marked(row.remedy)) }
                        }
                    }
                }
            }
        }
    };
    Page::new("What to do", &session, content).render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_reasons_are_found() {
        let rows = rows();
        assert!(rows.len() > 20);
        let suspended = rows.iter().find(|row| row.reason == "Suspended").unwrap();
        assert!(suspended.meaning.contains("spec.state") && suspended.remedy.contains("Active"));
        assert_eq!(marked("set `a` now").into_string(), "set <code>a</code> now");
        assert_eq!(marked("wait; see [below](#there), too").into_string(), "wait; see the runbook, too");
    }
}
