//! Users who keep asking through a fault, and what each was answered.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use easycode_e2e::platform::Answer;
use reqwest::RequestBuilder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One request and its answer.
#[derive(Debug)]
pub struct Asked {
    /// When it was sent.
    pub at: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// The answer.
    pub answer: Answer,
}

impl Asked {
    /// Checks that it was served, or refused for now as a problem document says it.
    pub fn served_or_put_off(&self) -> anyhow::Result<()> {
        let media = self.answer.headers.get("content-type").map(String::as_str);
        let put_off = self.answer.status == 503 && media == Some("application/problem+json");
        ensure!(self.answer.status == 200 || put_off && self.answer.code() == "unavailable", "{self:?}");
        Ok(())
    }
}

/// Requests that go on until it is ended.
pub struct Asking {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Vec<Asked>>>,
}

impl Asking {
    /// Sends the request again and again, a few times a second.
    pub fn start(request: RequestBuilder) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            while !stopped.is_cancelled() {
                let at = Instant::now();
                let answer = Answer::of(request.try_clone().context("a request that can't be repeated")?).await;
                let took = at.elapsed();
                asked.push(Asked { at, took, answer: answer.with_context(|| format!("no answer after {took:?}"))? });
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            Ok(asked)
        });
        Self { stop, task }
    }

    /// Ends, and returns all that was answered. Fails if a request got no answer at all.
    pub async fn end(self) -> anyhow::Result<Vec<Asked>> {
        self.stop.cancel();
        let asked = self.task.await??;
        ensure!(!asked.is_empty(), "nothing was asked");
        Ok(asked)
    }
}

/// How many answers had the status.
pub fn count(asked: &[Asked], status: u16) -> usize {
    asked.iter().filter(|one| one.answer.status == status).count()
}
