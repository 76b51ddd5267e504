//! A company of a soak: what was asked of it last, what must be answered to its people, and what they have written.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use easycode_crds::tenant::DeletionPolicy;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::schedule::{Site, WRITTEN, first_entitlements};
use crate::{
    platform::{Answer, Platform},
    tenant::TestTenant,
    tokens,
};

/// With what the name of everything of a soak begins.
pub const PREFIX: &str = "soak-";
/// Longest time for an act to take effect, faults included.
pub const ACT_TIMEOUT: Duration = Duration::from_mins(6);
/// Longest time for one attempt at an act's request or look.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// The homes that companies live in.
#[derive(Clone)]
pub struct Homes {
    /// The shared platform.
    pub platform: Platform,
    /// The instance of the company that moves.
    pub instance: Platform,
}

impl Homes {
    /// The home at the site.
    #[must_use]
    pub fn at(&self, site: Site) -> &Platform {
        match site {
            Site::Platform => &self.platform,
            Site::Instance => &self.instance,
        }
    }
}

/// What the company's people must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It changes just now, so either.
    Either,
    /// They are served there.
    Served(Site),
    /// They are refused.
    Refused,
}

/// What was asked of it last.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Business services.
    pub entitled: BTreeSet<&'static str>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Where it lives.
    pub site: Site,
    /// How it was offboarded, if it was.
    pub offboarded: Option<DeletionPolicy>,
}

/// What its people have written.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// Names and ids of contacts that were acknowledged.
    pub acknowledged: Vec<(String, String)>,
    /// Names of contacts that may have been made.
    pub unanswered: BTreeSet<String>,
}

/// A company.
pub struct Company {
    /// Name of the tenant.
    pub name: String,
    /// Uid of the tenant, once it is known.
    pub uid: Mutex<String>,
    homes: Homes,
    wanted: Mutex<Wanted>,
    /// What must be answered, with the number of changes so far.
    expected: Mutex<(u64, Expected)>,
    writes: Mutex<Writes>,
}

impl Company {
    /// One of the name, which does not exist yet.
    #[must_use]
    pub fn new(name: String, homes: Homes) -> Self {
        let wanted =
            Wanted { entitled: first_entitlements(), suspended: false, site: Site::Platform, offboarded: None };
        Self {
            name,
            uid: Mutex::default(),
            homes,
            wanted: Mutex::new(wanted),
            expected: Mutex::new((0, Expected::Either)),
            writes: Mutex::default(),
        }
    }

    /// What was asked of it last.
    pub fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap()
    }

    /// What it has written.
    pub fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap()
    }

    /// What must be answered now, with a number that is another after each change.
    #[must_use]
    pub fn expected(&self) -> (u64, Expected) {
        *self.expected.lock().unwrap()
    }

    /// Says what must be answered from now on.
    pub fn expect(&self, expected: Expected) {
        let mut now = self.expected.lock().unwrap();
        *now = (now.0 + 1, expected);
    }

    /// Where it is to live.
    #[must_use]
    pub fn home(&self) -> &Platform {
        let site = self.wanted().site;
        self.homes.at(site)
    }

    /// The homes that it may be in.
    #[must_use]
    pub fn homes(&self) -> &Homes {
        &self.homes
    }

    /// The tenant, seen where it is to live.
    #[must_use]
    pub fn tenant(&self) -> TestTenant {
        TestTenant { platform: self.home().clone(), name: self.name.clone() }
    }

    /// The spec of the tenant.
    #[must_use]
    pub fn spec(&self) -> Value {
        let wanted = self.wanted();
        let entitled: Vec<_> = wanted.entitled.iter().map(|service| json!({ "service": service })).collect();
        let policy = wanted.offboarded.unwrap_or(DeletionPolicy::Retain);
        json!({
            "entitlements": entitled, "state": if wanted.suspended { "Suspended" } else { "Active" },
            "deletionPolicy": policy, "retention": "1d", "limits": { "requestsPerSecond": 500 },
        })
    }

    /// What its people are to be answered as things are wanted.
    #[must_use]
    pub fn expected_when_settled(&self) -> Expected {
        let wanted = self.wanted();
        let served = !wanted.suspended && wanted.offboarded.is_none() && wanted.entitled.contains(WRITTEN);
        if served { Expected::Served(wanted.site) } else { Expected::Refused }
    }

    /// Checks that status and conditions are those of the present spec, and remembers the uid.
    pub async fn check_status(&self) -> anyhow::Result<()> {
        let tenant = self.tenant().get().await?;
        let wanted = self.wanted().clone();
        *self.uid.lock().unwrap() = tenant.metadata.uid.clone().context("a tenant without uid")?;
        let status = tenant.status.context("no status yet")?;
        let home = self.homes.at(wanted.site);
        let lives = match wanted.site {
            Site::Platform => status.platform.as_ref() == Some(&home.name) && status.instance.is_none(),
            Site::Instance => status.instance.as_ref() == Some(&home.name) && status.platform.is_none(),
        };
        ensure!(lives, "it does not live on {} yet: {:?}", home.home, status.relocation);
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready").context("no Ready yet")?;
        let right = if wanted.suspended { ready.reason == "Suspended" } else { ready.status == "True" };
        ensure!(right, "Ready is {} {}: {}", ready.status, ready.reason, ready.message);
        ensure!(ready.observed_generation == tenant.metadata.generation, "the spec was not looked at yet");
        let entitled: BTreeSet<_> =
            status.services.iter().filter(|one| one.entitled).map(|one| &*one.service).collect();
        let missing: Vec<_> = wanted.entitled.iter().filter(|one| !entitled.contains(**one)).collect();
        ensure!(wanted.suspended || missing.is_empty(), "its status does not name {missing:?} as entitled");
        Ok(())
    }

    /// Checks that its people are answered as they must be.
    pub async fn check_answer(&self) -> anyhow::Result<()> {
        let answer = self.read().await?;
        let wanted = self.wanted().clone();
        let code = match (wanted.suspended, wanted.offboarded.is_some(), wanted.entitled.contains(WRITTEN)) {
            (_, true, _) => "unknown-tenant",
            (true, ..) => "tenant-suspended",
            (false, _, false) => "not-entitled",
            (false, _, true) => {
                ensure!(answer.status == 200, "{answer:?}");
                return Ok(());
            }
        };
        ensure!((answer.status, answer.code()) == (403, code), "not refused as {code}: {answer:?}");
        Ok(())
    }

    /// Reads contacts where it is to live.
    pub async fn read(&self) -> anyhow::Result<Answer> {
        let token = tokens::token(&self.name, &["crm-user"])?;
        self.home().ask(WRITTEN, Method::GET, "/contacts", &token, None).await
    }
}

/// Tries again until it succeeds, or fails with the last error after [`ACT_TIMEOUT`]. Each attempt is bounded, too: one whose API
/// server or pod has died may never be answered.
pub async fn retry<T, F>(what: &str, attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    retry_for(ACT_TIMEOUT, what, attempt).await
}

/// As [`retry`], for another time.
pub async fn retry_for<T, F>(longest: Duration, what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let begun = Instant::now();
    loop {
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no answer within {ATTEMPT_TIMEOUT:?}"),
        };
        if begun.elapsed() > longest {
            bail!("{what}: not so after {longest:?}: {error:#}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
