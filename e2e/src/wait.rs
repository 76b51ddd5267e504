//! Waiting for what takes its time.

use std::time::{Duration, Instant};

use crate::diagnosis;

/// The pauses before something is asked again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks again until the answer is there, the less often the longer it takes. Says how the cluster is, and panics with the last refusal,
/// after the given time.
pub async fn until<T, F>(what: &str, longest: Duration, ask: impl FnMut() -> F) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    with_pauses_up_to(LONGEST_PAUSE, what, longest, ask).await
}

/// As [`until`], for what matters as soon as it is there: asks as often all the time.
pub async fn as_soon_as<T, F>(what: &str, longest: Duration, ask: impl FnMut() -> F) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    with_pauses_up_to(SHORTEST_PAUSE, what, longest, ask).await
}

async fn with_pauses_up_to<T, F>(
    longest_pause: Duration,
    what: &str,
    longest: Duration,
    mut ask: impl FnMut() -> F,
) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(refusal) if started.elapsed() > longest => {
                Box::pin(diagnosis::print()).await;
                panic!("{what}: not so after {longest:?}: {refusal:#}")
            }
            Err(_) => {
                let pause = (started.elapsed() / 20).clamp(SHORTEST_PAUSE, longest_pause);
                tokio::time::sleep(pause).await;
            }
        }
    }
}
