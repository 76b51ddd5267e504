//! A user who keeps asking while something changes or fails, and what was answered when.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Answer;

/// What may pass between a change of a tenant and the last request that is answered by the old rules.
pub const EFFECTIVE: Duration = Duration::from_secs(1);

/// Between an answer and the next request. The close one misses no moment of a change, but needs a tenant with a limit that
/// leaves room for it; by the calm one even four users together stay within the limit that tenants have by default.
const CLOSE: Duration = Duration::from_millis(5);
const CALM: Duration = Duration::from_millis(40);

/// Requests that run until it is ended.
pub struct Traffic {
    stop: CancellationToken,
    asking: JoinHandle<anyhow::Result<Vec<Seen>>>,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was sent.
    pub asked: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// HTTP status.
    pub status: u16,
    /// Code of the problem, if it was refused.
    pub code: String,
    /// Media type of the body.
    pub media: String,
    /// The body, if it is JSON.
    pub body: Value,
}

impl Seen {
    /// Checks that it was served, or refused for now as a problem document says it.
    pub fn served_or_put_off(&self) -> anyhow::Result<()> {
        let put_off = self.status == 503 && self.media == "application/problem+json" && self.code == "unavailable";
        ensure!(self.status == 200 || put_off, "{self:?}");
        Ok(())
    }
}

impl Traffic {
    /// Sends the request again and again, a few milliseconds after the last answer.
    #[must_use]
    pub fn start(request: RequestBuilder) -> Self {
        Self::every(CLOSE, request)
    }

    /// Sends the request again and again, a few times a second.
    #[must_use]
    pub fn calm(request: RequestBuilder) -> Self {
        Self::every(CALM, request)
    }

    fn every(pause: Duration, request: RequestBuilder) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !stopped.is_cancelled() {
                seen.push(ask(request.try_clone().context("a request that can't be repeated")?).await?);
                tokio::time::sleep(pause).await;
            }
            Ok(seen)
        });
        Self { stop, asking }
    }

    /// Ends, and returns all that was seen. Fails if a request got no answer, or a 5xx.
    pub async fn end(self) -> anyhow::Result<Vec<Seen>> {
        let seen = self.end_to_judge().await?;
        let fault = seen.iter().find(|one| one.status >= 500);
        ensure!(fault.is_none(), "a fault of the service's own: {fault:?}");
        Ok(seen)
    }

    /// Ends, and returns all that was seen for the test to judge. Fails if a request got no answer at all.
    pub async fn end_to_judge(self) -> anyhow::Result<Vec<Seen>> {
        self.stop.cancel();
        let seen = self.asking.await??;
        ensure!(!seen.is_empty(), "nothing was asked");
        Ok(seen)
    }

    /// Goes on until the change is a bit older than it may take to be effective, then ends.
    pub async fn end_after(self, changed: Instant) -> anyhow::Result<Vec<Seen>> {
        tokio::time::sleep_until((changed + EFFECTIVE + Duration::from_millis(300)).into()).await;
        self.end().await
    }
}

async fn ask(request: RequestBuilder) -> anyhow::Result<Seen> {
    let asked = Instant::now();
    let answer = Answer::of(request).await;
    let took = asked.elapsed();
    let answer = answer.with_context(|| format!("no answer after {took:?}"))?;
    let media = answer.headers.get("content-type").cloned().unwrap_or_default();
    Ok(Seen { asked, took, status: answer.status, code: answer.code().to_owned(), media, body: answer.body })
}

/// How many requests were answered with the status.
#[must_use]
pub fn count(seen: &[Seen], status: u16) -> usize {
    seen.iter().filter(|one| one.status == status).count()
}

/// Checks that every request was served.
pub fn all_served(seen: &[Seen]) -> anyhow::Result<()> {
    let lost = seen.iter().find(|one| one.status != 200);
    ensure!(lost.is_none(), "one of {} requests was not served: {lost:?}", seen.len());
    Ok(())
}

/// Checks that the requests before the change were served, and that those later than a second after it are refused with
/// the code.
pub fn refused_within_a_second(seen: &[Seen], begun: Instant, changed: Instant, code: &str) -> anyhow::Result<()> {
    let refused = |one: &&Seen| one.status == 403;
    let early = seen.iter().find(|one| one.asked < begun && one.status != 200);
    ensure!(early.is_none(), "not served before the change: {early:?}");
    let late: Vec<_> = seen.iter().filter(|one| one.asked > changed + EFFECTIVE).collect();
    ensure!(!late.is_empty(), "nothing was asked after the change");
    let served = late.iter().find(|one| !refused(one) || one.code != code);
    ensure!(served.is_none(), "{:?} after the change: {served:?}", served.map(|one| one.asked - changed));
    let first = seen.iter().find(refused).context("nothing was refused")?;
    println!("refused {:?} after the write", first.asked.saturating_duration_since(changed));
    Ok(())
}
