//! A record in words for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Record, changes::Change};

/// Longest text of a value.
const LONGEST: usize = 60;

/// A record as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was recorded.
    pub at: Timestamp,
    /// The database that it is in.
    pub home: String,
    /// Uid of the custom resource.
    pub uid: String,
    /// Who, with the program where that differs.
    pub by: String,
    /// What was done, and each field that changed.
    pub what: Vec<String>,
}

impl From<&Record> for Told {
    fn from(record: &Record) -> Self {
        Self { at: record.at, home: record.home.clone(), uid: record.uid.clone(), by: who(record), what: what(record) }
    }
}

/// Who did it.
#[must_use]
pub fn who(record: &Record) -> String {
    match record.detail["manager"].as_str() {
        Some(manager) if manager != record.actor => format!("{} by {manager}", record.actor),
        _ => record.actor.clone(),
    }
}

/// What was done, and each field that changed.
#[must_use]
pub fn what(record: &Record) -> Vec<String> {
    let mut said = match (record.detail["words"].as_str(), record.detail["adopted"].as_str()) {
        (Some(words), Some(owner)) => vec![format!("{}: {words}, with the data of {owner}", record.act)],
        (Some(words), None) => vec![format!("{}: {words}", record.act)],
        (None, _) => vec![record.act.clone()],
    };
    said.extend(record.changes.iter().flatten().map(told));
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
