//! The audit trail as it is read: by the command line with its user's own rights, and by the operator for the console.

pub mod changes;
mod forward;
pub mod homes;
mod read;
pub mod words;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::Client;
use serde::Serialize;
use serde_json::Value;

use self::changes::Change;
use crate::{postgres::database::in_time, stack::home::Home};

/// Homes that are read at once.
const AT_ONCE: usize = 16;

/// Which records.
pub struct Wanted {
    /// Of one tenant only.
    pub tenant: Option<String>,
    /// Of the object with that uid only: an earlier one may have had the name.
    pub uid: Option<String>,
    /// Not older.
    pub since: Option<Duration>,
    /// No more than that many of each home, the newest.
    pub newest: Option<u16>,
    /// Longest time for one home; without it as long as it takes, once it is connected.
    pub patience: Option<Duration>,
}

/// How a database is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As the operator reaches it, from within the cluster.
    Inside,
    /// From outside: one in the cluster through the API server.
    Outside,
}

/// One record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Number within its database.
    pub id: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The database that it is in.
    pub home: String,
    /// Kind of the custom resource.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Who.
    pub actor: String,
    /// What, in one word.
    pub act: String,
    /// More of it; the whole spec, where that changed.
    pub detail: Value,
    /// What differs from the spec before it; `None` if it is not about a spec, or no earlier one was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
}

/// What the databases of several homes know.
pub struct Trail {
    /// The records, the oldest first.
    pub records: Vec<Record>,
    /// Each home that could not be read, and why: for those who may see its Secrets.
    pub unread: Vec<(Home, String)>,
}

/// Reads the records of the homes. One that does not answer leaves a gap that is told.
pub async fn read(client: &Client, homes: BTreeSet<Home>, wanted: &Wanted, way: Way) -> Trail {
    let of_home = async |home: Home| {
        let reading = read::read(client, &home, wanted, way);
        let outcome = match wanted.patience {
            Some(patience) => in_time(patience, reading).await,
            None => reading.await,
        };
        outcome.map_err(|error| (home, format!("{error:#}")))
    };
    let (mut records, mut unread) = (Vec::new(), Vec::new());
    let mut outcomes = stream::iter(homes).map(of_home).buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(found) => records.extend(found),
            Err(gap) => unread.push(gap),
        }
    }
    records.sort_by_key(|record| (record.at, record.id));
    unread.sort();
    Trail { records, unread }
}
