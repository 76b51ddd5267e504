//! What a plan would change, as a person reads it. Pure: planned and live objects go in, lines come out.

use std::{collections::BTreeMap, fmt};

use kube::{ResourceExt, api::DynamicObject};

use crate::kubernetes::{
    labels,
    object::{Kind, Planned},
};

/// Most paths that are listed of one object.
const PATHS: usize = 5;

/// Kind, namespace and name of an object.
pub type Key = (Kind, String, String);
/// The live objects that a plan is compared with.
pub type Live = BTreeMap<Key, DynamicObject>;

/// What would become of one object, or of a tenant's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// Made.
    Create,
    /// Changed.
    Change,
    /// Removed.
    Delete,
    /// Left as it is.
    Keep,
}

/// One line, with the lines that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What would become of it.
    pub sign: Sign,
    /// What it is.
    pub what: String,
    /// Paths of the fields that differ, or a remark.
    pub details: Vec<String>,
}

/// What would become of everything that belongs to one custom resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Kind and name of the custom resource.
    pub title: String,
    /// What keeps it from becoming ready, and where it is placed.
    pub notes: Vec<String>,
    /// What would change.
    pub changes: Vec<Change>,
}

impl Change {
    /// What would become of a planned object, given the live one.
    #[must_use]
    pub fn of(planned: &Planned, live: Option<&DynamicObject>) -> Self {
        let what = describe(planned.kind, &planned.namespace, &planned.name);
        let Some(live) = live else { return Self { sign: Sign::Create, what, details: Vec::new() } };
        let differences = planned.differences(live);
        let sign = if differences.is_empty() { Sign::Keep } else { Sign::Change };
        Self { sign, what, details: telling(differences) }
    }

    /// The removal of a live object.
    #[must_use]
    pub fn removal((kind, namespace, name): &Key) -> Self {
        Self { sign: Sign::Delete, what: describe(*kind, namespace, name), details: Vec::new() }
    }
}

/// Kind and place of an object.
fn describe(kind: Kind, namespace: &str, name: &str) -> String {
    match kind {
        Kind::Namespace => format!("{kind:?} {name}"),
        _ => format!("{kind:?} {namespace}/{name}"),
    }
}

/// The paths that tell a person something: the operator's own notes on a workload repeat what differs elsewhere.
fn telling(mut paths: Vec<String>) -> Vec<String> {
    let own = [labels::INPUTS, labels::RENDERED].map(|name| format!("metadata.annotations['{name}']"));
    if paths.iter().any(|path| !own.contains(path)) {
        paths.retain(|path| !own.contains(path));
    }
    if paths.len() > PATHS {
        let more = paths.len() - PATHS;
        paths.truncate(PATHS);
        paths.push(format!("and {more} more"));
    }
    paths
}

/// The key of a live object.
#[must_use]
pub fn key_of(kind: Kind, object: &DynamicObject) -> Key {
    (kind, object.namespace().unwrap_or_default(), object.name_any())
}

impl Sign {
    /// The signs with what they mean, in the order of a summary.
    const MEANINGS: [(Self, &str); 4] = [
        (Self::Create, "to create"),
        (Self::Change, "to change"),
        (Self::Delete, "to delete"),
        (Self::Keep, "as planned"),
    ];
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "+",
            Self::Change => "~",
            Self::Delete => "-",
            Self::Keep => "=",
        })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for note in &self.notes {
            writeln!(f, "  ! {note}")?;
        }
        for change in &self.changes {
            writeln!(f, "  {} {}", change.sign, change.what)?;
            for detail in &change.details {
                writeln!(f, "      {detail}")?;
            }
        }
        Ok(())
    }
}

/// How many changes there are of each sign, as one line.
#[must_use]
pub fn summary(sections: &[Section]) -> String {
    let count = |sign| sections.iter().flat_map(|section| &section.changes).filter(|one| one.sign == sign).count();
    Sign::MEANINGS.map(|(sign, meaning)| format!("{} {meaning}", count(sign))).join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn live(body: &Value) -> DynamicObject {
        serde_json::from_value(body.clone()).unwrap()
    }

    fn planned(spec: &Value) -> Planned {
        let annotations = json!({ labels::INPUTS: spec.to_string(), labels::RENDERED: spec.to_string() });
        Planned::new(Kind::Deployment, "ns", "crm", json!({ "metadata": { "annotations": annotations }, "spec": spec }))
    }

    #[test]
    fn an_object_is_made_changed_or_left_alone() {
        let one = planned(&json!({ "replicas": 1, "paused": false }));
        assert_eq!(Change::of(&one, None).sign, Sign::Create);
        assert_eq!(Change::of(&one, Some(&live(&one.body))).sign, Sign::Keep);
        let change = Change::of(&planned(&json!({ "replicas": 2, "paused": false })), Some(&live(&one.body)));
        assert_eq!((change.sign, change.details), (Sign::Change, vec!["spec.replicas".to_owned()]));
    }

    #[test]
    fn many_paths_are_cut_short() {
        let wanted: serde_json::Map<_, _> = (0..8).map(|n| (format!("f{n}"), json!(n))).collect();
        let change = Change::of(&planned(&json!(wanted)), Some(&live(&planned(&json!({})).body)));
        assert_eq!(change.details.len(), PATHS + 1);
        assert_eq!(change.details.last().unwrap(), "and 3 more");
    }

    #[test]
    fn a_section_reads_like_a_diff() {
        let section = Section {
            title: "SharedPlatform eu1".into(),
            notes: vec!["Release r9 does not exist".into()],
            changes: vec![
                Change { sign: Sign::Create, what: "Service ns/crm".into(), details: Vec::new() },
                Change { sign: Sign::Change, what: "Deployment ns/crm".into(), details: vec!["spec.replicas".into()] },
                Change::removal(&(Kind::Ingress, "ns".into(), "services".into())),
                Change { sign: Sign::Keep, what: "Namespace ns".into(), details: Vec::new() },
            ],
        };
        let text = "\
SharedPlatform eu1
  ! Release r9 does not exist
  + Service ns/crm
  ~ Deployment ns/crm
      spec.replicas
  - Ingress ns/services
  = Namespace ns
";
        assert_eq!(section.to_string(), text);
        assert_eq!(summary(&[section]), "1 to create, 1 to change, 1 to delete, 1 as planned");
    }
}
