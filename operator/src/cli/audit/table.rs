//! Prints records as a table.

use crate::audit::trail::{
    Record,
    words::{what, who},
};

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
        rows.extend(
            said.map(|line| {
                [String::new(), String::new(), String::new(), String::new(), printable(&format!("  {line}"))]
            }),
        );
    }
    let widths: Vec<_> =
        (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Who may write a spec must not be able to steer the terminal of who reads this.
fn printable(text: &str) -> String {
    text.chars().flat_map(|one| if one.is_control() { one.escape_debug().collect() } else { vec![one] }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::trail::changes::Change;

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
