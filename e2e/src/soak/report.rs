//! What a soak counts and finds, printed and written to `target/soak/report.json`.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::Context;
use serde::Serialize;

use crate::cluster::checkout;

/// Findings that are kept word for word; more are only counted.
const FINDINGS_KEPT: usize = 40;

/// The report.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// By which all decisions can be repeated.
    pub seed: u64,
    /// For how long faults were caused.
    pub minutes: f64,
    /// Acts by kind.
    pub acts: BTreeMap<&'static str, u32>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u32>,
    /// Faults that could not be caused, such as one of a pod that was not there, by kind.
    pub faults_left_out: BTreeMap<String, u32>,
    /// Writes that were acknowledged.
    pub writes_acknowledged: u64,
    /// Writes of which it is not known whether they were made, since the answer was "later" or none.
    pub writes_unanswered: u64,
    /// Writes that were refused, as the company is suspended, withdrawn or elsewhere.
    pub writes_refused: u64,
    /// Reads that were checked for rows of others.
    pub reads: u64,
    /// Longest time without an acknowledged write of a company that is to be served, by the fault before.
    pub longest_unavailability_s: BTreeMap<String, f64>,
    /// Number of findings.
    pub wrong_count: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// The report while it grows.
#[derive(Debug, Default)]
pub struct Journal {
    report: Mutex<Report>,
    last_fault: Mutex<Option<String>>,
}

impl Journal {
    /// An empty one of the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { report: Mutex::new(Report { seed, ..Report::default() }), last_fault: Mutex::default() }
    }

    /// The report, to count something in.
    ///
    /// # Panics
    ///
    /// If a thread has panicked that counted.
    pub fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap()
    }

    /// Notes the fault that begins now: what is unavailable from now on is put down to it.
    ///
    /// # Panics
    ///
    /// If a thread has panicked that counted.
    pub fn begin_fault(&self, kind: &str) {
        *self.last_fault.lock().unwrap() = Some(kind.to_owned());
    }

    /// Notes what is wrong.
    pub fn find(&self, what: String) {
        eprintln!("  WRONG: {what}");
        let mut report = self.report();
        report.wrong_count += 1;
        if report.wrong.len() < FINDINGS_KEPT {
            report.wrong.push(what);
        }
    }

    /// Notes for how long a company that is to be served was not.
    ///
    /// # Panics
    ///
    /// If a thread has panicked that counted.
    pub fn note_gap(&self, gap: Duration) {
        let fault = self.last_fault.lock().unwrap().clone().unwrap_or_else(|| "no fault".to_owned());
        let mut report = self.report();
        let longest = report.longest_unavailability_s.entry(fault).or_default();
        *longest = longest.max((gap.as_secs_f64() * 10.0).round() / 10.0);
    }
}

impl Report {
    /// Writes it to `target/soak/report.json`.
    pub fn write(&self) -> anyhow::Result<()> {
        let folder = checkout().join("target/soak");
        fs::create_dir_all(&folder)?;
        let path = folder.join("report.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// It as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![format!("seed {}, {:.1} min of faults", self.seed, self.minutes)];
        lines.extend(self.acts.iter().map(|(kind, count)| format!("  act    {count:>5}  {kind}")));
        for (kind, count) in &self.faults {
            let longest = self.longest_unavailability_s.get(kind).copied().unwrap_or_default();
            lines.push(format!("  fault  {count:>5}  {kind}; longest unavailability after it {longest:.1} s"));
        }
        lines.extend(self.faults_left_out.iter().map(|(kind, count)| format!("  left out {count:>3}  {kind}")));
        lines.push(format!(
            "  writes: {} acknowledged, {} unanswered, {} refused; reads: {}",
            self.writes_acknowledged, self.writes_unanswered, self.writes_refused, self.reads
        ));
        lines.push(format!("  wrong: {}", self.wrong_count));
        lines.join("\n") + "\n"
    }
}
