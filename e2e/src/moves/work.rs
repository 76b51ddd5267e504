//! People who work on while their company moves: some write, some read. They know of both homes, and go to the other when one
//! does not know them or puts them off.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    platform::{Answer, Platform},
    tokens::token,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Mover;

/// Work under way.
pub struct Work {
    stop: CancellationToken,
    writers: Vec<JoinHandle<anyhow::Result<()>>>,
    reader: JoinHandle<anyhow::Result<u32>>,
    seen: Arc<Mutex<Seen>>,
}

/// What writers saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Contacts whose making was acknowledged, with the time.
    pub made: Vec<(Instant, String)>,
    /// Writes that were put off.
    pub put_off: u32,
}

impl Seen {
    /// Longest time between two acknowledged writes.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let mut times: Vec<_> = self.made.iter().map(|(at, _)| *at).collect();
        times.sort();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

impl Work {
    /// Begins: three who write, one who reads.
    pub async fn begin(mover: &Mover) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let homes = [mover.shared.platform.clone(), mover.own.platform.clone()];
        let token = token(&mover.shared.name, &["crm-user"])?;
        let writers = (0..3)
            .map(|_| tokio::spawn(write(homes.clone(), token.clone(), stop.clone(), Arc::clone(&seen))))
            .collect();
        let known = mover.first_contact().await?;
        let reader = tokio::spawn(read(homes, token, known, stop.clone()));
        Ok(Self { stop, writers, reader, seen })
    }

    /// Ends, and returns what the writers saw. Fails if a read was not served, or a write neither made nor put off as a move
    /// puts it off.
    pub async fn end(self) -> anyhow::Result<Seen> {
        self.stop.cancel();
        for writer in self.writers {
            writer.await??;
        }
        let reads = self.reader.await??;
        ensure!(reads > 20, "only {reads} reads");
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        println!("{reads} reads, {} writes made, {} put off", seen.made.len(), seen.put_off);
        Ok(seen)
    }
}

impl Mover {
    /// A contact that was made in the present home.
    async fn first_contact(&self) -> anyhow::Result<String> {
        let lives_shared = self.shared.get().await?.status.is_some_and(|status| status.platform.is_some());
        if lives_shared { self.shared.add_contact("First").await } else { self.own.tenant.add_contact("First").await }
    }

    /// Checks that each of the contacts is in the home's database.
    pub async fn has(&self, home: &Platform, seen: &Seen) -> anyhow::Result<()> {
        let there = home.sql("crm", &format!("SELECT id FROM {}.contact", self.shared.role())).await?;
        let there: std::collections::BTreeSet<_> = there.lines().collect();
        let lost: Vec<_> = seen.made.iter().filter(|(_, id)| !there.contains(id.as_str())).collect();
        ensure!(lost.is_empty(), "{} of {} acknowledged writes are lost: {lost:?}", lost.len(), seen.made.len());
        Ok(())
    }
}

/// Whether this home does not know the tenant, yet or any more.
fn is_elsewhere(answer: &Answer) -> bool {
    answer.status == 403 && ["unknown-tenant", "not-entitled"].contains(&answer.code())
}

async fn write(
    homes: [Platform; 2],
    token: String,
    stop: CancellationToken,
    seen: Arc<Mutex<Seen>>,
) -> anyhow::Result<()> {
    let mut at = 0;
    let mut number = 0_u32;
    while !stop.is_cancelled() {
        number += 1;
        let body = json!({ "familyName": format!("Worker {number}") });
        let answer = homes[at].ask("crm", Method::POST, "/contacts", &token, Some(body)).await?;
        if answer.status == 201 {
            let id = answer.body["id"].as_str().context("no id")?.to_owned();
            seen.lock().unwrap().made.push((Instant::now(), id));
        } else if is_elsewhere(&answer) {
            at = 1 - at;
        } else {
            // It may have moved since.
            at = 1 - at;
            ensure!((answer.status, answer.code()) == (503, "moving"), "a write was answered {answer:?}");
            ensure!(answer.headers.contains_key("retry-after"), "when to try again is not said: {answer:?}");
            seen.lock().unwrap().put_off += 1;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Reads one contact again and again; returns how often. Fails if it is in neither home.
async fn read(homes: [Platform; 2], token: String, id: String, stop: CancellationToken) -> anyhow::Result<u32> {
    let mut at = 0;
    let mut reads = 0;
    let path = format!("/contacts/{id}");
    while !stop.is_cancelled() {
        let mut answer = homes[at].ask("crm", Method::GET, &path, &token, None).await?;
        if is_elsewhere(&answer) {
            at = 1 - at;
            answer = homes[at].ask("crm", Method::GET, &path, &token, None).await?;
        }
        ensure!(answer.status == 200, "read {reads} was answered {answer:?}");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    Ok(reads)
}
