//! Waiting for what takes its time.

use std::time::{Duration, Instant};

use crate::diagnosis;

/// The longest pause before something is asked again.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks again until the answer is there, the less often the longer it takes. Says how the cluster is, and panics with the last refusal,
/// after the given time.
pub async fn until<T, F>(what: &str, longest: Duration, mut ask: impl FnMut() -> F) -> T
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
                let pause = (started.elapsed() / 20).clamp(Duration::from_millis(20), LONGEST_PAUSE);
                tokio::time::sleep(pause).await;
            }
        }
    }
}
