//! A user who keeps asking while something changes, and what was answered when.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::RequestBuilder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::platform::Answer;

/// What may pass between a change of a tenant and the last request that is answered by the old rules.
pub const EFFECTIVE: Duration = Duration::from_secs(1);

/// Requests that run until it is ended.
pub struct Traffic {
    stop: CancellationToken,
    asking: JoinHandle<anyhow::Result<Vec<Seen>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was sent.
    pub asked: Instant,
    /// HTTP status.
    pub status: u16,
    /// Code of the problem, if it was refused.
    pub code: String,
}

impl Traffic {
    /// Sends the request again and again, a few milliseconds after the last answer.
    #[must_use]
    pub fn start(request: RequestBuilder) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !stopped.is_cancelled() {
                let asked = Instant::now();
                let answer = Answer::of(request.try_clone().context("a request that can't be repeated")?).await?;
                seen.push(Seen { asked, status: answer.status, code: answer.code().to_owned() });
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(seen)
        });
        Self { stop, asking }
    }

    /// Ends, and returns all that was seen. Fails if a request got no answer, or a 5xx.
    pub async fn end(self) -> anyhow::Result<Vec<Seen>> {
        self.stop.cancel();
        let seen = self.asking.await??;
        ensure!(!seen.is_empty(), "nothing was asked");
        let fault = seen.iter().find(|one| one.status >= 500);
        ensure!(fault.is_none(), "a fault of the service's own: {fault:?}");
        Ok(seen)
    }

    /// Goes on until the change is a bit older than it may take to be effective, then ends.
    pub async fn end_after(self, changed: Instant) -> anyhow::Result<Vec<Seen>> {
        tokio::time::sleep_until((changed + EFFECTIVE + Duration::from_millis(300)).into()).await;
        self.end().await
    }
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
