//! A tenant's state as it changes.

use std::{convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    extract::State as Shared,
    response::sse::{Event, KeepAlive, Sse},
};
use easycode_kit::{Path, Problem};
use futures::Stream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{App, fleet::summary, session::ApiCaller};

/// Longest that one follows; browsers ask again by themselves.
const LONGEST: Duration = Duration::from_mins(30);

/// Where a tenant is on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Whether all is done: ready, or gone, or suspended as it should be.
    pub settled: bool,
    /// Where it is, in a sentence.
    pub summary: String,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// The move that is under way, or the last one.
    #[serde(rename = "move")]
    pub relocation: Value,
}

impl State {
    /// That of the tenant of the name.
    #[must_use]
    pub fn of(app: &App, name: &str) -> Self {
        let Some(tenant) = app.fleet.tenant(name) else {
            let summary = format!("tenant {name} is gone");
            return Self { settled: true, summary, conditions: Vec::new(), relocation: Value::Null };
        };
        let status = tenant.status.clone().unwrap_or_default();
        let health = summary::Health::of(&status.conditions);
        let seen = status.observed_generation == tenant.metadata.generation;
        let leaving = tenant.metadata.deletion_timestamp.is_some();
        let summary = match (leaving, seen) {
            (true, _) => format!("being offboarded: {}", health.message),
            (_, false) => "the operator has not taken up the latest change yet".to_owned(),
            _ if health.is_ready() => "ready".to_owned(),
            _ => format!("{}: {}", health.reason, health.message),
        };
        let settled = seen && !leaving && (health.is_ready() || health.reason == "Suspended");
        Self { settled, summary, conditions: status.conditions, relocation: json!(status.relocation) }
    }
}

/// The state of a tenant as it changes, as server-sent events.
#[utoipa::path(get, path = "/tenants/{name}/events", responses((status = 200, content_type = "text/event-stream")))]
pub async fn events(
    Shared(app): Shared<App>,
    _: ApiCaller,
    Path(name): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    app.fleet.known_tenant(&name)?;
    let stopping = app.stopping.clone();
    let events = stream! {
        let mut news = app.fleet.changes();
        let mut told = None;
        let over = tokio::time::sleep(LONGEST);
        tokio::pin!(over);
        loop {
            news.mark_unchanged();
            let state = State::of(&app, &name);
            if told.as_ref() != Some(&state) {
                let data = serde_json::to_string(&state).expect("has only string keys");
                yield Ok(Event::default().event("state").data(data));
                told = Some(state);
            }
            tokio::select! {
                outcome = news.changed() => if outcome.is_err() { break },
                () = stopping.cancelled() => break,
                () = &mut over => break,
            }
        }
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
