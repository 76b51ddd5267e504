//! Prints records as a table.

use serde_json::Value;

use super::{changes::Change, read::Record};

/// Longest text of a value.
const LONGEST: usize = 60;

/// One line a record, with a line of its own for each field that changed.
#[must_use]
pub fn table(records: &[Record]) -> String {
    let mut rows = vec![["WHEN", "WHO", "OBJECT", "GENERATION", "WHAT"].map(str::to_owned)];
    for record in records {
        let when = record.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let object = format!("{}/{}", record.kind, record.name);
        let mut said = what(record).into_iter();
        let first = said.next().unwrap_or_default();
        rows.push([when, who(record), object, record.generation.to_string(), first].map(|text| printable(&text)));
        rows.extend(said.map(|line| [String::new(), String::new(), String::new(), String::new(), printable(&line)]));
    }
    let widths: Vec<_> =
        (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn who(record: &Record) -> String {
    match record.detail["manager"].as_str() {
        Some(manager) if manager != record.actor => format!("{} by {manager}", record.actor),
        _ => record.actor.clone(),
    }
}

fn what(record: &Record) -> Vec<String> {
    let mut said = match (record.detail["words"].as_str(), record.detail["adopted"].as_str()) {
        (Some(words), Some(owner)) => vec![format!("{}: {words}, with the data of {owner}", record.act)],
        (Some(words), None) => vec![format!("{}: {words}", record.act)],
        (None, _) => vec![record.act.clone()],
    };
    said.extend(record.changes.iter().flatten().map(|change| format!("  {}", told(change))));
    said
}

fn told(Change { path, from, to }: &Change) -> String {
    let text = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text }
    };
    match (from, to) {
        (Some(from), Some(to)) => format!("{path}: {} → {}", text(from), text(to)),
        (None, Some(to)) => format!("{path}: added {}", text(to)),
        (Some(from), None) => format!("{path}: removed {}", text(from)),
        (None, None) => path.clone(),
    }
}

/// Who may write a spec must not be able to steer the terminal of who reads this.
fn printable(text: &str) -> String {
    text.chars().flat_map(|one| if one.is_control() { one.escape_debug().collect() } else { vec![one] }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(act: &str, actor: &str, detail: Value, changes: Option<Vec<Change>>) -> Record {
        Record {
            id: 1,
            at: "2026-11-24T15:00:05Z".parse().unwrap(),
            home: "SharedPlatform eu1".to_owned(),
            kind: "Tenant".to_owned(),
            name: "acme".to_owned(),
            uid: "u1".to_owned(),
            generation: 2,
            actor: actor.to_owned(),
            act: act.to_owned(),
            detail,
            changes,
        }
    }

    #[test]
    fn each_record_says_when_who_and_what() {
        let change = Change { path: "state".to_owned(), from: Some("Active".into()), to: Some("Suspended".into()) };
        let records = [
            record("SpecChanged", "ada", json!({ "manager": "console" }), Some(vec![change])),
            record("Revoke", "easycode-operator", json!({ "words": "stop svc_crm from acting as the tenant" }), None),
            record("SpecChanged", "e\u{1b}[2Jve", json!({}), Some(Vec::new())),
        ];
        let lines: Vec<_> = table(&records).lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "WHEN                  WHO                OBJECT       GENERATION  WHAT",
                "2026-11-24 15:00:05Z  ada by console     Tenant/acme  2           SpecChanged",
                "                                                                    state: Active → Suspended",
                "2026-11-24 15:00:05Z  easycode-operator  Tenant/acme  2           Revoke: stop svc_crm from acting as the tenant",
                r"2026-11-24 15:00:05Z  e\u{1b}[2Jve       Tenant/acme  2           SpecChanged",
            ]
        );
    }
}
