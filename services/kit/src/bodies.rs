//! Requests' bodies: bounded in number of bytes over all requests, and read to their end.
//!
//! What is held of bodies at once is taken out of a [`BodyBudget`], however many requests send one. A request that the budget has no
//! room for is answered with 503.
//!
//! The rest of a body is read before its request is answered. A request that is refused by its head, or for a body that is too
//! large, leaves the rest unread, and a connection that is closed with unread data is reset: the caller, still sending, would see
//! that and never the answer. What nginx calls a lingering close.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};

use crate::Problem;

/// Most bytes that are read on after the answer is decided: what sends more is no mistake, and is cut off.
const MAX_LINGER_BYTES: usize = 16 << 20;
/// Longest time for that.
const LINGER_TIME: Duration = Duration::from_secs(5);
/// Bytes that a chunk takes beside its content.
const CHUNK_BYTES: usize = 64;

/// The bytes that bodies may take at once; cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<AtomicUsize>);

impl BodyBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// What one request has taken of the budget, given back when it is dropped.
struct Taken {
    budget: BodyBudget,
    state: Mutex<TakenState>,
}

#[derive(Default)]
struct TakenState {
    bytes: usize,
    exhausted: bool,
}

impl Taken {
    fn of(budget: BodyBudget) -> Arc<Self> {
        Arc::new(Self { budget, state: Mutex::default() })
    }

    fn take(&self, chunk: &Bytes) -> Result<(), BoxError> {
        let bytes = chunk.len() + CHUNK_BYTES;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.budget.take(bytes) {
            state.bytes += bytes;
            return Ok(());
        }
        state.exhausted = true;
        Err("too many bodies are being received".into())
    }

    fn is_exhausted(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).exhausted
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.0.fetch_add(state.bytes, Ordering::Relaxed);
    }
}

/// A body of which the handler may read a part.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Shared {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }

    /// Reads on to the end.
    async fn drain(self) {
        let mut left = MAX_LINGER_BYTES;
        while let Some(Ok(chunk)) = std::future::poll_fn(|context| self.poll_next(context)).await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    }
}

/// Hands the handler a body within the budget, and reads what the handler did not read of it.
pub(crate) async fn receive(State(budget): State<BodyBudget>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Whoever waits for a word before sending the body sends none when it is refused.
    let is_sent_anyway = !request.headers().contains_key(header::EXPECT);
    let taken = Taken::of(budget);
    let (head, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let handed = (body.clone(), Arc::clone(&taken));
    let stream = stream::poll_fn(move |context| {
        let (body, taken) = &handed;
        body.poll_next(context).map(|chunk| {
            chunk.map(|chunk| {
                let chunk = chunk?;
                taken.take(&chunk)?;
                Ok::<_, BoxError>(chunk)
            })
        })
    });
    let mut response = next.run(Request::from_parts(head, Body::from_stream(stream))).await;
    if taken.is_exhausted() {
        response = Problem::unavailable("too many requests with a body are being received; try again").into_response();
    }
    drop(taken);
    if is_sent_anyway {
        // Too late is as good as not at all.
        let _ = tokio::time::timeout(LINGER_TIME, body.drain()).await;
    }
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, middleware, routing::post};
    use easycode_listener::Limits;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Sends a body of so many bytes, and reads the answer only then.
    async fn answer(path: &str, length: usize) -> anyhow::Result<String> {
        let address = serve(BodyBudget::new(4 << 20)).await?;
        send(address, path, length).await
    }

    async fn serve(budget: BodyBudget) -> anyhow::Result<SocketAddr> {
        let app = Router::new()
            .route("/refused", post(async || (axum::http::StatusCode::FORBIDDEN, "refused")))
            .route("/read", post(async |body: Bytes| body.len().to_string()))
            .layer(middleware::from_fn_with_state(budget, receive));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(easycode_listener::serve(listener, app, Limits::default(), std::future::pending()));
        Ok(address)
    }

    async fn send(address: SocketAddr, path: &str, length: usize) -> anyhow::Result<String> {
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

    #[tokio::test]
    async fn bodies_take_no_more_than_the_budget_and_give_it_back() -> anyhow::Result<()> {
        let address = serve(BodyBudget::new(200_000)).await?;
        for _ in 0..5 {
            let read = send(address, "/read", 100_000).await?;
            assert!(read.ends_with("100000"), "{read}");
        }
        let mut held = TcpStream::connect(address).await?;
        held.write_all(b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 150000\r\n\r\n").await?;
        held.write_all("x".repeat(149_999).as_bytes()).await?;
        let refused = loop {
            // What is held may not have been read yet.
            let answer = send(address, "/read", 100_000).await?;
            if !answer.ends_with("100000") {
                break answer;
            }
        };
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
        drop(held);
        while !send(address, "/read", 100_000).await?.ends_with("100000") {}
        Ok(())
    }
}
