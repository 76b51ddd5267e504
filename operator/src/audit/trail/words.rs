//! A record in words for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Record, changes::Change};
use crate::postgres::audit::{CHANGED, CREATED, DELETED};

/// Longest text of a value.
const LONGEST: usize = 60;
/// Most fields that are told of one change to those who are not the command line.
const MOST_WORDS: usize = 30;

/// A record as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was recorded.
    pub at: Timestamp,
    /// The database that it is in.
    pub home: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Whether it is of that version of the spec, and not of what was done by it.
    pub is_of_spec: bool,
    /// Who, with the program where that differs.
    pub by: String,
    /// What was done, and each field that changed.
    pub what: Vec<String>,
}

impl From<&Record> for Told {
    fn from(record: &Record) -> Self {
        let mut what = what(record);
        let more = what.len().saturating_sub(MOST_WORDS);
        if more > 0 {
            what.truncate(MOST_WORDS);
            what.push(format!("{more} more"));
        }
        Self {
            at: record.at,
            home: record.home.clone(),
            generation: record.generation,
            is_of_spec: [CREATED, CHANGED, DELETED].contains(&record.act.as_str()),
            by: who(record),
            what,
        }
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
