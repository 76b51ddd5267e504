//! What a service has Finance post.

use serde_json::{Value, json};

use crate::{Amount, Caller, date::Date};

/// The service that keeps the books.
pub const FINANCE: &str = "finance";
/// Its module that entries are posted to.
const LEDGER: &str = "ledger";

/// Whether Finance keeps books for the tenant: without its ledger it has nothing to post to, and is told nothing.
#[must_use]
pub fn keeps_books(caller: &Caller) -> bool {
    caller.context.allows_module(FINANCE, LEDGER)
}

/// An entry of a service for a day, of lines of account, `debit` or `credit`, and amount. Lines of nothing are left out.
#[must_use]
pub fn entry(source: &str, description: &str, currency: &str, day: Date, lines: &[(&str, &str, Amount)]) -> Value {
    let lines: Vec<_> = lines
        .iter()
        .filter(|(_, _, amount)| *amount != Amount::ZERO)
        .map(|(account, side, amount)| json!({ "account": account, *side: amount }))
        .collect();
    json!({ "date": day, "description": description, "source": source, "currency": currency, "lines": lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_day_and_no_line_of_nothing() {
        let day = json!("2026-11-24");
        let lines =
            [("1200", "debit", Amount::ZERO), ("6000", "debit", serde_json::from_value(json!("2.00")).unwrap())];
        let entry = entry("procurement", "x", "EUR", serde_json::from_value(day.clone()).unwrap(), &lines);
        assert_eq!((&entry["date"], &entry["lines"]), (&day, &json!([{ "account": "6000", "debit": "2.00" }])));
    }
}
