//! Follows tenant-service's stream for as long as the process lives.

use std::{sync::Arc, time::Duration};

use easycode_contract::stream::{FRESH_MILLIS, STREAM_PATH};
use futures::{StreamExt, TryStreamExt};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use tracing::{info, warn};

use crate::contexts::{Contexts, Remote};

/// Longest line: a context is a few kilobytes.
const LONGEST_LINE: usize = 1 << 20;

pub(crate) async fn follow(contexts: Contexts, remote: Arc<Remote>) {
    let mut wait = Duration::from_millis(50);
    loop {
        let started = tokio::time::Instant::now();
        if let Err(error) = once(&contexts, &remote).await {
            warn!(error = format!("{error:#}"), "the stream of contexts broke, connecting again");
        }
        wait = if started.elapsed() > Duration::from_secs(5) { Duration::from_millis(50) } else { wait * 2 };
        wait = wait.min(Duration::from_secs(1));
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

async fn once(contexts: &Contexts, remote: &Remote) -> anyhow::Result<()> {
    // Read anew each time: the kubelet rotates it.
    let token = tokio::fs::read_to_string(&remote.config.identity_token).await?;
    let url = format!("{}{STREAM_PATH}", remote.config.tenant_service);
    let connect = remote.http.get(url).bearer_auth(token.trim()).send();
    let response = tokio::time::timeout(Duration::from_secs(2), connect).await??.error_for_status()?;
    info!("following the stream of contexts");
    contexts.begin();
    let reader = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
    let mut lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LONGEST_LINE));
    loop {
        // Silence for three times the bound means that the other side is gone without a word.
        let silence = Duration::from_millis(3 * FRESH_MILLIS);
        let Some(line) = tokio::time::timeout(silence, lines.next()).await? else { return Ok(()) };
        contexts.apply(serde_json::from_str(&line?)?);
    }
}
