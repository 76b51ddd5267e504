//! Waiting for what takes its time.

use std::time::{Duration, Instant};

/// The pause before something is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again until the answer is there.
///
/// # Panics
/// With the last refusal, after the given time.
pub async fn until<T, F>(what: &str, longest: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(refusal) => assert!(started.elapsed() < longest, "{what}: not so after {longest:?}: {refusal:#}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
