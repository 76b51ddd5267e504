//! The rest of a request's body is read before it is answered. A request that is refused by its head, or for a body that is too large,
//! leaves the rest unread, and a connection that is closed with unread data is reset: the caller, still sending, would see that and never
//! the answer. What nginx calls a lingering close.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use futures::{StreamExt, stream};

/// How much more is read, and for how long: what sends more is no mistake, and is cut off.
const MOST: usize = 16 << 20;
const LONGEST: Duration = Duration::from_secs(5);

/// A body of which the handler may read a part.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Shared {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }

    /// Reads on to the end.
    async fn drain(self) {
        let mut left = MOST;
        while let Some(Ok(chunk)) = std::future::poll_fn(|context| self.poll_next(context)).await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    }
}

/// Reads what the handler did not read of the body.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    // Whoever waits for a word before sending the body sends none when it is refused.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let handed = body.clone();
    let stream = stream::poll_fn(move |context| handed.poll_next(context));
    let response = next.run(Request::from_parts(head, Body::from_stream(stream))).await;
    // Too late is as good as not at all.
    let _ = tokio::time::timeout(LONGEST, body.drain()).await;
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Sends a body of so many bytes, and reads the answer only then.
    async fn answer(path: &str, length: usize) -> anyhow::Result<String> {
        let app = Router::new()
            .route("/refused", post(async || (axum::http::StatusCode::FORBIDDEN, "refused")))
            .route("/read", post(async |body: Bytes| body.len().to_string()))
            .layer(middleware::from_fn(linger));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut connection = TcpStream::connect(address).await?;
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        connection.write_all(head.as_bytes()).await?;
        // By and by, as over a network.
        for chunk in vec![b'x'; length].chunks(64 << 10) {
            connection.write_all(chunk).await?;
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn whoever_is_refused_can_send_all_and_reads_why() -> anyhow::Result<()> {
        let refused = answer("/refused", 3 << 20).await?;
        assert!(refused.starts_with("HTTP/1.1 403") && refused.ends_with("refused"), "{refused}");
        let too_large = answer("/read", 3 << 20).await?;
        assert!(too_large.starts_with("HTTP/1.1 413"), "{too_large}");
        Ok(())
    }

    #[tokio::test]
    async fn what_is_read_is_read_whole() -> anyhow::Result<()> {
        let read = answer("/read", 1 << 20).await?;
        assert!(read.ends_with("1048576"), "{read}");
        Ok(())
    }
}
