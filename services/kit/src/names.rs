//! Whether names are resolved where this runs. Where a network policy keeps pods from DNS nothing else works either, and whoever gave up
//! tells so by its exit code, since it reaches nobody to tell.

use std::time::Duration;

use tokio::{
    net::lookup_host,
    time::{Instant, sleep, timeout},
};

/// For how long a name is tried: a pod that has just started may not be let to DNS yet.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// A name was not resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} is not resolved: {why}")]
pub struct Unresolved {
    host: String,
    why: String,
}

/// Waits until the name is resolved, for a while at most.
pub async fn resolved(host: &str) -> Result<(), Unresolved> {
    within(PATIENCE, host).await
}

async fn within(patience: Duration, host: &str) -> Result<(), Unresolved> {
    // A folder of a socket needs no resolving.
    if host.starts_with('/') {
        return Ok(());
    }
    let until = Instant::now() + patience;
    loop {
        let why = match timeout(ATTEMPT, lookup_host((host, 0))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() >= until {
            return Err(Unresolved { host: host.to_owned(), why });
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_is_not_resolved_is_told() {
        for host in ["127.0.0.1", "localhost", "/run/postgresql"] {
            assert!(within(Duration::ZERO, host).await.is_ok(), "{host}");
        }
        let told = within(Duration::ZERO, "nowhere.invalid").await.unwrap_err().to_string();
        assert!(told.starts_with("the name nowhere.invalid is not resolved: "), "{told}");
    }
}
