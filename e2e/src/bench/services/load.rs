//! Load of many tenants in turn on a service's pod, and what it answers.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{sync::Semaphore, time::MissedTickBehavior};

use super::{
    super::{
        figures::{Spread, round},
        reads::{Subject, get},
    },
    typical::{Typical, Write},
};
use crate::tokens;

/// Requests at once.
const AT_ONCE: usize = 4;
/// Requests that are not measured.
const WARM_UP: usize = 400;
/// Most requests under way of a load that comes at its own pace.
const UNDER_WAY: usize = 64;
/// Longest time for a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was measured of reads, or of writes.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Requests a second.
    pub per_second: f64,
    /// Time of each.
    pub times: Spread,
}

/// The companies' first records. Returns who asks for what.
pub async fn prepare(typical: &Typical, base: &str, tenants: &[String]) -> anyhow::Result<Vec<Subject>> {
    let http = easycode_kit::http::client();
    let subjects = tenants.iter().map(|tenant| (&http, tenant)).map(|(http, tenant)| async move {
        let token = tokens::token(tenant, typical.roles)?;
        let mut answer = Value::Null;
        for request in (typical.first)() {
            answer = send(http, base, &token, &request).await.with_context(|| format!("of {tenant}"))?.1;
        }
        let record = answer[typical.known_by].as_str().with_context(|| format!("no {}", typical.known_by))?.to_owned();
        anyhow::Ok(Subject { tenant: tenant.clone(), token, path: (typical.read)(&record), record })
    });
    stream::iter(subjects).buffered(AT_ONCE).try_collect().await
}

async fn send(http: &reqwest::Client, base: &str, token: &str, request: &Write) -> anyhow::Result<(Duration, Value)> {
    let url = format!("{base}{}", request.path);
    let sent = http.request(request.method.clone(), &url).bearer_auth(token).json(&request.body).timeout(PATIENCE);
    let started = Instant::now();
    let response = sent.send().await?;
    let status = response.status();
    let body = response.text().await?;
    let took = started.elapsed();
    ensure!(status.is_success(), "{} {url}: {status} {body}", request.method);
    Ok((took, serde_json::from_str(&body)?))
}

/// Reads, several at once, of one tenant after the other.
pub async fn reads(base: &str, subjects: &[Subject], count: usize) -> anyhow::Result<Rate> {
    let http = easycode_kit::http::client();
    let read = |subject: &Subject| {
        let (http, url, token) = (http.clone(), format!("{base}{}", subject.path), subject.token.clone());
        async move { get(&http, &url, &token).await }
    };
    measured(subjects, count, read).await
}

/// Writes, as [`reads`].
pub async fn writes(typical: &Typical, base: &str, subjects: &[Subject], count: usize) -> anyhow::Result<Rate> {
    let http = easycode_kit::http::client();
    let write = |subject: &Subject| {
        let (http, request, token) = (http.clone(), (typical.write)(&subject.record), subject.token.clone());
        async move { Ok(send(&http, base, &token, &request).await?.0) }
    };
    measured(subjects, count, write).await
}

async fn measured<F>(subjects: &[Subject], count: usize, ask: impl Fn(&Subject) -> F) -> anyhow::Result<Rate>
where
    F: Future<Output = anyhow::Result<Duration>>,
{
    let turns = |count: usize| stream::iter(subjects.iter().cycle().take(count)).map(&ask).buffer_unordered(AT_ONCE);
    turns(WARM_UP).try_for_each(|_| ready(Ok(()))).await?;
    let started = Instant::now();
    let times: Vec<_> = turns(count).try_collect().await?;
    let per_second = round(f64::from(u32::try_from(count)?) / started.elapsed().as_secs_f64());
    Ok(Rate { per_second, times: Spread::of(times) })
}

/// What came of a load at its own pace.
#[derive(Debug, Default)]
pub struct Paced {
    /// Times of what was served, from when it was due.
    pub times: Vec<Duration>,
    /// How many were refused for the tenant's limit.
    pub refused: u64,
}

/// Reads at a pace for some time, however long they take. Anything but what was asked for and a refusal for the limit is an error.
pub async fn paced(base: &str, subjects: &[Subject], per_second: u32, length: Duration) -> anyhow::Result<Paced> {
    let http = easycode_kit::http::client();
    let (refused, room) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(UNDER_WAY)));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for subject in subjects.iter().cycle() {
        let due = ticks.tick().await.into_std();
        if begun.elapsed() > length {
            break;
        }
        let room = Arc::clone(&room).acquire_owned().await?;
        let (http, refused) = (http.clone(), Arc::clone(&refused));
        let request = http.get(format!("{base}{}", subject.path)).bearer_auth(&subject.token).timeout(PATIENCE);
        requests.spawn(async move {
            let response = request.send().await?;
            let status = response.status();
            let body = response.text().await?;
            drop(room);
            if status == StatusCode::TOO_MANY_REQUESTS {
                refused.fetch_add(1, Ordering::Relaxed);
                return Ok(None);
            }
            ensure!(status.is_success(), "{status} {body}");
            Ok(Some(due.elapsed()))
        });
    }
    let outcomes: anyhow::Result<Vec<_>> = requests.join_all().await.into_iter().collect();
    Ok(Paced { times: outcomes?.into_iter().flatten().collect(), refused: refused.load(Ordering::Relaxed) })
}
