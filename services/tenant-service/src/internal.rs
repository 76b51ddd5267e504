//! The API for services: contexts, and the stream of their changes. A service gets every tenant, so that it can tell an
//! unknown tenant from one that is not entitled, but of the settings only its own and those of the user interface,
//! and the first administrators only if it is user-service.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use easycode_contract::{
    context::TenantContext,
    runtime::USER_SERVICE,
    stream::{CONTEXTS_PATH, ContextEvent, HEARTBEAT_MILLIS, STREAM_PATH},
};
use easycode_kit::{
    App, Problem,
    workload::{AskingService, Workloads},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::publisher::Publisher;

/// The routes.
pub fn router(publisher: Publisher, workloads: Workloads) -> Router<App> {
    let (list, one, stream) = (publisher.clone(), publisher.clone(), publisher);
    Router::new()
        .route(
            CONTEXTS_PATH,
            get(move |AskingService(service): AskingService| async move {
                let (all, _) = list.subscribe().await;
                Json(all.into_iter().map(|context| visible(context, &service)).collect::<Vec<_>>())
            }),
        )
        .route(
            &format!("{CONTEXTS_PATH}/{{tenant}}"),
            get(move |AskingService(service): AskingService, Path(tenant): Path<String>, headers: HeaderMap| async move {
                if !one.is_complete() {
                    return Err(Problem::unavailable("the tenants were not read yet; try again"));
                }
                let context = one.get(&tenant).ok_or_else(|| Problem::not_found("there is no such tenant"))?;
                Ok::<_, Problem>(tagged(&headers, &visible(context, &service)))
            }),
        )
        .route(
            STREAM_PATH,
            get(move |State(app): State<App>, AskingService(service): AskingService| async move {
                let (all, events) = stream.subscribe().await;
                let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
                (headers, Body::from_stream(lines(service, all, events, app.stopping.cancelled_owned())))
            }),
        )
        .layer(axum::Extension(workloads))
}

/// The document, or 304 if the asker has it already.
pub(crate) fn tagged(headers: &HeaderMap, context: &TenantContext) -> Response {
    let etag = context.etag();
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    if known {
        (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response()
    } else {
        ([(header::ETAG, etag)], Json(context)).into_response()
    }
}

fn visible(mut context: TenantContext, service: &str) -> TenantContext {
    context.settings.retain(|name, _| name == service || name == "ui");
    if service != USER_SERVICE {
        context.administrators.clear();
    }
    context
}

fn lines(
    service: String,
    all: Vec<TenantContext>,
    mut events: Receiver<ContextEvent>,
    stopping: impl Future<Output = ()>,
) -> impl futures::Stream<Item = Result<String, std::io::Error>> {
    let line = move |event: ContextEvent| {
        let event = match event {
            ContextEvent::Context { context } => {
                ContextEvent::Context { context: Box::new(visible(*context, &service)) }
            }
            other => other,
        };
        serde_json::to_string(&event).map(|text| text + "\n").map_err(std::io::Error::other)
    };
    async_stream::stream! {
        for context in all {
            yield line(ContextEvent::Context { context: Box::new(context) });
        }
        yield line(ContextEvent::Synced);
        let mut beat = tokio::time::interval(Duration::from_millis(HEARTBEAT_MILLIS));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                biased;
                // The follower goes on with another replica.
                () = &mut stopping => return,
                event = events.recv() => match event {
                    Ok(event) => yield line(event),
                    // Too slow to keep up: ending the stream makes the follower start over with everything.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                },
                _ = beat.tick() => yield line(ContextEvent::Heartbeat),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::sync::{broadcast, oneshot};

    use super::*;

    #[tokio::test]
    async fn a_stream_goes_on_until_the_service_stops() {
        let (_sender, events) = broadcast::channel(1);
        let (stop, stopping) = oneshot::channel::<()>();
        let lines = lines("crm".to_owned(), Vec::new(), events, async { drop(stopping.await) });
        let mut lines = std::pin::pin!(lines);
        let mut next = async || -> Option<ContextEvent> {
            let patience = Duration::from_millis(4 * HEARTBEAT_MILLIS);
            let line = tokio::time::timeout(patience, lines.next()).await.expect("silence");
            line.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        };
        assert_eq!(next().await, Some(ContextEvent::Synced));
        assert_eq!(next().await, Some(ContextEvent::Heartbeat));
        assert_eq!(next().await, Some(ContextEvent::Heartbeat));
        stop.send(()).unwrap();
        assert_eq!(next().await, None);
    }
}
