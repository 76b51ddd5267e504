//! Accepts connections and serves them.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, error, info, warn};

use crate::{
    Limits,
    body::{Answer, TimedBody},
    io::WatchedStream,
    table::{Connection, Place, Table},
};

/// Time between two looks for connections whose time is over.
const OVERDUE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after a connection could not be accepted, for example since the process has no file descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);
/// Least time between two warnings that connections are refused.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Serves HTTP/1.1 until `stop` is done, then finishes the requests that are under way and returns.
pub async fn serve(listener: TcpListener, routes: Router, limits: Limits, stop: impl Future<Output = ()>) {
    // With its state a router is shared by all connections instead of made anew for each, which would take over a mebibyte.
    let routes: Router = routes.with_state(());
    let table = Arc::new(Table::new(limits));
    let (stopping, connections) = (CancellationToken::new(), TaskTracker::new());
    let mut refused_at: Option<Instant> = None;
    let mut stop = pin!(stop);
    let mut overdue = tokio::time::interval(OVERDUE_POLL_INTERVAL);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            _ = overdue.tick() => {
                close_overdue(&table);
                continue;
            }
            () = &mut stop => break,
        };
        if let Some(place) = table.admit(peer.ip().to_canonical()) {
            connections.spawn(serve_connection(stream, place, limits, routes.clone(), stopping.clone()));
        } else if refused_at.is_none_or(|at| at.elapsed() > REFUSAL_LOG_INTERVAL) {
            refused_at = Some(Instant::now());
            warn!(%peer, "connection refused; all connections are serving requests");
        }
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    let mut finished = pin!(connections.wait());
    loop {
        tokio::select! {
            () = &mut finished => return,
            _ = overdue.tick() => close_overdue(&table),
        }
    }
}

fn close_overdue(table: &Table) {
    let closed = table.close_overdue(Instant::now().into_std());
    if closed > 0 {
        info!(connections = closed, "connections closed; no request came in time, or an answer was not read");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                error!(%error, "accepting a connection failed; retrying");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

async fn serve_connection(
    stream: TcpStream,
    place: Place,
    limits: Limits,
    routes: Router,
    stopping: CancellationToken,
) {
    let connection = Arc::clone(&place.connection);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        // Noted now and not when the future is first polled, so that no second passes as one without a head.
        connection.begin_request();
        answer(request, routes.clone(), Arc::clone(&connection), limits.body_time)
    });
    let stream = WatchedStream { stream, connection: Arc::clone(&place.connection) };
    let serving = http1::Builder::new()
        .max_buf_size(limits.head_bytes)
        // The table's times count, which tell a head that is late from a connection that rests.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let mut asked_to_stop = pin!(stopping.cancelled());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            outcome = serving.as_mut() => {
                if let Err(error) = outcome {
                    debug!(%error, "a connection broke");
                }
                return;
            }
            () = place.connection.closing.cancelled() => return,
            () = &mut asked_to_stop, if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    routes: Router,
    connection: Arc<Connection>,
    body_time: Duration,
) -> Result<Response<Answer>, Infallible> {
    let (request, late) = if hyper::body::Body::is_end_stream(request.body()) {
        (request.map(Body::new), None)
    } else {
        let (parts, body) = request.into_parts();
        let (body, late) = TimedBody::new(body, Instant::now() + body_time);
        (axum::http::Request::from_parts(parts, Body::new(body)), Some(late))
    };
    // Made before the routes are asked: also one that is given up, as its connection is, ends the request.
    let mut answer = Answer { body: Body::empty(), connection };
    let mut response = routes.oneshot(request).await?;
    if late.is_some_and(|late| late.is_so()) && !response.status().is_success() {
        response = too_late();
    }
    let (parts, body) = response.into_parts();
    answer.body = body;
    Ok(Response::from_parts(parts, answer))
}

fn too_late() -> Response {
    const PROBLEM: &str = r#"{"type":"about:blank","title":"Request Timeout","status":408,"code":"request-timeout","detail":"the request's body took too long; send it again, without pauses"}"#;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ];
    (StatusCode::REQUEST_TIMEOUT, headers, PROBLEM).into_response()
}
