//! The audit trail in the operator's own database: its table, and records out of steps. Records are written in the transaction
//! of what they tell of, where there is one, so that each is there exactly once whatever crashes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{plan::Step, statements::literal, survey::TenantData};
use crate::kubernetes::FIELD_MANAGER;

/// Act of a record: the object was made.
pub const CREATED: &str = "SpecCreated";
/// Act of a record: the spec was changed.
pub const CHANGED: &str = "SpecChanged";
/// Act of a record: the deletion was asked for.
pub const DELETED: &str = "SpecDeleted";

/// The table; may be run again. Whoever owns it could still drop the triggers: they stop mistakes, not the owner.
pub const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS easycode.audit (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at         timestamptz NOT NULL DEFAULT now(),
        kind       text NOT NULL,
        name       text NOT NULL,
        uid        text NOT NULL,
        generation bigint NOT NULL,
        actor      text NOT NULL,
        act        text NOT NULL,
        -- Of an act that may have to be tried again: what makes the trials one act.
        once       text UNIQUE,
        detail     jsonb NOT NULL
    );
    CREATE UNIQUE INDEX IF NOT EXISTS audit_spec ON easycode.audit (uid, generation)
        WHERE act IN ('SpecCreated', 'SpecChanged', 'SpecDeleted');
    CREATE INDEX IF NOT EXISTS audit_name ON easycode.audit (kind, name, id);
    CREATE OR REPLACE FUNCTION easycode.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'easycode.audit is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
    CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON easycode.audit
        FOR EACH STATEMENT EXECUTE FUNCTION easycode.refuse_audit_change();
    ALTER TABLE easycode.audit ENABLE ALWAYS TRIGGER append_only;";

/// What is known of each object's spec: the newest generation, the last write that someone left a name with, and whether the
/// deletion was noted.
pub const KNOWN: &str = "
    SELECT uid, max(generation) AS generation, max(detail->>'written') FILTER (WHERE act <> 'SpecDeleted') AS written,
           bool_or(act = 'SpecDeleted') AS deleted
    FROM easycode.audit WHERE act IN ('SpecCreated', 'SpecChanged', 'SpecDeleted') GROUP BY uid";

/// Whose record it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind of the custom resource.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Generation of the spec by which it was done.
    pub generation: i64,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Whose it is.
    pub subject: Subject,
    /// Who did it.
    pub actor: String,
    /// What was done, in one word.
    pub act: &'static str,
    /// What makes several trials one act.
    pub once: Option<String>,
    /// More of it.
    pub detail: Value,
}

/// What a request to the database is recorded as.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// For whom it is done.
    pub subject: Subject,
    /// What is recorded with it, beside its steps: changes of the spec that led to it, say.
    pub records: Vec<Record>,
    /// Uid of the `Tenant` whose data is taken over.
    pub adopted: Option<String>,
}

impl Record {
    /// An act of the operator, told in `words`. An act that may be tried again needs `once`, unique among acts on the subject.
    #[must_use]
    pub fn of_act(subject: &Subject, act: &'static str, words: &str, once: Option<&str>) -> Self {
        Self {
            subject: subject.clone(),
            actor: FIELD_MANAGER.to_owned(),
            act,
            once: once.map(|once| format!("{}/{once}", subject.uid)),
            detail: json!({ "words": words }),
        }
    }
}

impl Account {
    /// The record of a step, given what the tenant has before it and the version that schemas are migrated to.
    #[must_use]
    pub fn of_step(&self, step: &Step, present: &TenantData, published: &BTreeMap<String, i32>) -> Record {
        let generation = self.subject.generation;
        // Roles and registry change in the transaction of the record. A service's database has its own, so the record goes
        // first and a trial after a crash is the same act, unless a schema is made anew: rather told twice than not at all.
        let (act, once) = match step {
            Step::CreateRole => ("CreateRole", None),
            Step::Register { .. } => ("Register", None),
            Step::Grant { .. } => ("Grant", None),
            Step::Revoke { .. } => ("Revoke", None),
            Step::Withdraw { .. } => ("Withdraw", None),
            Step::EndWithdrawal { .. } => ("EndWithdrawal", None),
            Step::Provision { service } => {
                let version = published.get(service).copied().unwrap_or_default();
                let once = format!("{generation}/provision/{service}/{version}");
                ("Provision", (!present.lost.contains(service)).then_some(once))
            }
            Step::Erase { service } => {
                let until = present.withdrawn.get(service).map(ToString::to_string).unwrap_or_default();
                ("Erase", Some(format!("{generation}/erase/{service}/{until}")))
            }
            Step::Retain => ("Retain", None),
            Step::Forget => ("Forget", None),
        };
        let mut record = Record::of_act(&self.subject, act, &step.to_string(), once.as_deref());
        if let (Step::Register { .. }, Some(owner)) = (step, &self.adopted) {
            record.detail["adopted"] = owner.as_str().into();
        }
        record
    }
}

/// Inserts the records, in one statement. Those that are there already are left out.
#[must_use]
pub fn insert(records: &[Record]) -> Option<String> {
    let rows: Vec<_> = records
        .iter()
        .map(|Record { subject, actor, act, once, detail }| {
            format!(
                "({}, {}, {}, {}, {}, {}, {}, {})",
                literal(&subject.kind),
                literal(&subject.name),
                literal(&subject.uid),
                subject.generation,
                literal(actor),
                literal(act),
                once.as_deref().map_or_else(|| "NULL".to_owned(), literal),
                literal(&without_nul(detail).to_string())
            )
        })
        .collect();
    (!rows.is_empty()).then(|| {
        format!(
            "INSERT INTO easycode.audit (kind, name, uid, generation, actor, act, once, detail) VALUES {} ON CONFLICT DO NOTHING",
            rows.join(", ")
        )
    })
}

/// Postgres has no NUL in texts, escaped in JSON neither.
fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('\0', "").into(),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('\0', ""), without_nul(value))).collect()
        }
        other => other.clone(),
    }
}

/// What is known of one object's spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The newest generation that is recorded.
    pub generation: i64,
    /// The last write that someone left a name with.
    pub written: Option<Timestamp>,
    /// Whether the deletion is recorded.
    pub deleted: bool,
}

/// What is recorded of specs, by uid, so that nobody need ask.
#[derive(Default)]
pub struct Recorded(Mutex<HashMap<String, Known>>);

impl Recorded {
    /// Of one object.
    #[must_use]
    pub fn of(&self, uid: &str) -> Known {
        self.lock().get(uid).copied().unwrap_or_default()
    }

    /// Takes note of what was read.
    pub fn read(&self, uid: String, known: Known) {
        self.lock().insert(uid, known);
    }

    /// Takes note of what was written.
    pub fn wrote(&self, records: &[Record]) {
        let mut all = self.lock();
        for record in records.iter().filter(|record| [CREATED, CHANGED, DELETED].contains(&record.act)) {
            let known = all.entry(record.subject.uid.clone()).or_default();
            known.generation = known.generation.max(record.subject.generation);
            known.deleted |= record.act == DELETED;
            if record.act != DELETED {
                let written = record.detail["written"].as_str().and_then(|written| written.parse().ok());
                known.written = known.written.max(written);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn account(generation: i64) -> Account {
        let subject = Subject { kind: "Tenant".to_owned(), name: "acme".to_owned(), uid: "u1".to_owned(), generation };
        Account { subject, records: Vec::new(), adopted: Some("u0".to_owned()) }
    }

    fn step() -> impl Strategy<Value = Step> {
        let service = || proptest::sample::select(vec!["crm", "pos"]).prop_map(str::to_owned);
        prop_oneof![
            Just(Step::CreateRole),
            Just(Step::Register { uid: "u1".to_owned(), display_name: "Acme".to_owned() }),
            service().prop_map(|service| Step::Grant { login: format!("svc_{service}") }),
            service().prop_map(|service| Step::Revoke { login: format!("svc_{service}") }),
            service().prop_map(|service| Step::Withdraw { service, until: Timestamp::UNIX_EPOCH }),
            service().prop_map(|service| Step::EndWithdrawal { service }),
            service().prop_map(|service| Step::Provision { service }),
            service().prop_map(|service| Step::Erase { service }),
            Just(Step::Retain),
            Just(Step::Forget),
        ]
    }

    proptest! {
        #[test]
        fn each_step_is_told_in_its_own_words_with_the_generation_that_asked_for_it(step in step(), generation in 1..9_i64) {
            let record = account(generation).of_step(&step, &TenantData::default(), &BTreeMap::new());
            prop_assert_eq!(&record.detail["words"], &json!(step.to_string()));
            prop_assert_eq!(record.subject.generation, generation);
            prop_assert_eq!(record.detail.get("adopted").is_some(), matches!(step, Step::Register { .. }));
            // What has no transaction with its record must be told apart from its own trials.
            let elsewhere = matches!(step, Step::Provision { .. } | Step::Erase { .. });
            prop_assert_eq!(record.once.is_some(), elsewhere);
        }

        #[test]
        fn two_different_acts_are_never_one(one in step(), other in step(), generations in (1..3_i64, 1..3_i64)) {
            let record = |step, generation| account(generation).of_step(step, &TenantData::default(), &BTreeMap::new());
            let (first, second) = (record(&one, generations.0), record(&other, generations.1));
            if let (Some(first), Some(second)) = (&first.once, &second.once) {
                prop_assert_eq!(first == second, one == other && generations.0 == generations.1);
            }
        }
    }

    #[test]
    fn a_schema_that_was_lost_is_told_of_each_time_it_is_made_anew() {
        let present = TenantData { lost: BTreeSet::from(["crm".to_owned()]), ..TenantData::default() };
        let step = Step::Provision { service: "crm".to_owned() };
        assert_eq!(account(1).of_step(&step, &present, &BTreeMap::new()).once, None);
    }

    #[test]
    fn nothing_in_a_record_leaves_its_literal() {
        let mut record = Record::of_act(&account(1).subject, "Move", "it's so", Some("a'b"));
        record.detail["spec"] = json!({ "displayName": "O\0'; DROP TABLE x; --", "back": "\\u0000" });
        let statement = insert(&[record]).unwrap();
        assert!(statement.contains("'u1/a''b'"), "{statement}");
        assert!(statement.contains(r#""displayName":"O''; DROP TABLE x; --""#), "{statement}");
        assert!(statement.contains(r#""back":"\\u0000""#), "{statement}");
        assert_eq!(insert(&[]), None);
    }

    #[test]
    fn what_was_written_is_known() {
        let recorded = Recorded::default();
        let spec = |generation, act, written: &str| Record {
            act,
            detail: json!({ "written": written }),
            ..Record::of_act(&account(generation).subject, act, "", None)
        };
        let at: Timestamp = "2026-11-24T15:00:05Z".parse().unwrap();
        recorded.wrote(&[spec(1, CREATED, "2026-11-24T15:00:05Z"), spec(7, "Grant", "2026-11-24T16:00:00Z")]);
        assert_eq!(recorded.of("u1"), Known { generation: 1, written: Some(at), deleted: false });
        recorded.wrote(&[spec(2, DELETED, "2026-11-24T17:00:00Z")]);
        assert_eq!(recorded.of("u1"), Known { generation: 2, written: Some(at), deleted: true });
        assert_eq!(recorded.of("u2"), Known::default());
    }
}
