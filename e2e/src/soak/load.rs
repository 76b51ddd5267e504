//! People of a company who write and read all the time, and judge each answer at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use reqwest::{Client, Method};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    company::{Company, Expected},
    report::Journal,
    schedule::{Site, WRITTEN},
};
use crate::{platform::Answer, tokens};

/// Between two requests of one who writes.
const PAUSE: Duration = Duration::from_millis(60);
/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// After how long a token is renewed, which is before it expires.
const TOKEN_LIFE: Duration = Duration::from_mins(20);
/// How many writes there are for one read.
const WRITES_PER_READ: u64 = 4;
/// Who write at once.
const WRITERS: usize = 2;
/// The sites that are tried in turn.
const SITES: [Site; 2] = [Site::Platform, Site::Instance];

/// Work under way.
pub struct Load {
    stop: CancellationToken,
    writers: Vec<JoinHandle<anyhow::Result<()>>>,
    journal: Arc<Journal>,
    company: Arc<Company>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Load {
    /// Begins.
    #[must_use]
    pub fn begin(company: Arc<Company>, journal: Arc<Journal>) -> Self {
        let stop = CancellationToken::new();
        let writers = (0..WRITERS)
            .map(|number| {
                let writer = Writer::new(number, Arc::clone(&company), Arc::clone(&journal));
                tokio::spawn(writer.run(stop.clone()))
            })
            .collect();
        Self { stop, writers, journal, company }
    }

    /// Ends once the requests under way are answered.
    pub async fn end(mut self) {
        self.stop.cancel();
        for writer in std::mem::take(&mut self.writers) {
            if let Err(error) = writer.await.map_err(anyhow::Error::from).flatten() {
                self.journal.find(format!("{}: a writer failed: {error:#}", self.company.name));
            }
        }
    }
}

struct Writer {
    number: usize,
    company: Arc<Company>,
    journal: Arc<Journal>,
    http: Client,
    /// Index of the site that is asked, and the addresses as far as they are known.
    at: usize,
    addresses: [Option<String>; 2],
    /// Last acknowledged write, with the number of changes of the company by then.
    last: Option<(u64, Instant)>,
}

impl Writer {
    fn new(number: usize, company: Arc<Company>, journal: Arc<Journal>) -> Self {
        let http = easycode_kit::http::client();
        Self { number, company, journal, http, at: 0, addresses: [None, None], last: None }
    }

    async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut token, mut signed) = (tokens::token(&self.company.name, &["crm-user"])?, Instant::now());
        for count in 0_u64.. {
            if stop.is_cancelled() {
                break;
            }
            if signed.elapsed() > TOKEN_LIFE {
                (token, signed) = (tokens::token(&self.company.name, &["crm-user"])?, Instant::now());
            }
            if count % WRITES_PER_READ == 0 {
                self.read(&token).await;
            } else {
                self.write(&token, count).await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Writes one contact, whose name is of no other.
    async fn write(&mut self, token: &str, count: u64) -> anyhow::Result<()> {
        let name = format!("{}#{}-{count}", self.company.name, self.number);
        let before = self.company.expected();
        let body = json!({ "familyName": name });
        // Before it is sent: whatever becomes of this program's request, it is known of.
        self.company.writes().unanswered.insert(name.clone());
        let answer = self.ask(Method::POST, token, Some(body)).await;
        let settled = (before == self.company.expected()).then_some(before.1);
        let Ok(answer) = answer else {
            self.journal.report().writes_unanswered += 1;
            self.turn();
            return Ok(());
        };
        match answer.status {
            201 => {
                let id = answer.body["id"].as_str().context("a contact without id")?.to_owned();
                {
                    let mut writes = self.company.writes();
                    writes.unanswered.remove(&name);
                    writes.acknowledged.push((name, id));
                }
                self.journal.report().writes_acknowledged += 1;
                self.note_acknowledged(settled.map(|_| before.0));
                if settled == Some(Expected::Refused) {
                    self.find("a write was served though it must be refused", &answer);
                }
            }
            403 => {
                self.company.writes().unanswered.remove(&name);
                self.journal.report().writes_refused += 1;
                if settled == Some(Expected::Served(SITES[self.at])) {
                    self.find("a write was refused though it must be served", &answer);
                }
                self.turn();
            }
            429 | 503 => {
                self.journal.report().writes_unanswered += 1;
                self.turn();
            }
            _ => self.find("a write was answered as none may be", &answer),
        }
        Ok(())
    }

    /// Reads contacts, each of which must be the company's own.
    async fn read(&mut self, token: &str) {
        let before = self.company.expected();
        let Ok(answer) = self.ask(Method::GET, token, None).await else { return };
        let settled = (before == self.company.expected()).then_some(before.1);
        self.journal.report().reads += 1;
        match answer.status {
            200 => {
                let own = format!("{}#", self.company.name);
                let items = answer.body["items"].as_array().into_iter().flatten();
                let foreign: Vec<_> = items
                    .filter_map(|item| item["familyName"].as_str())
                    .filter(|name| !name.starts_with(&own))
                    .collect();
                if !foreign.is_empty() {
                    self.journal.find(format!("{}: was shown rows of others: {foreign:?}", self.company.name));
                }
                if settled == Some(Expected::Refused) {
                    self.find("a read was served though it must be refused", &answer);
                }
            }
            403 if settled == Some(Expected::Served(SITES[self.at])) => {
                self.find("a read was refused though it must be served", &answer);
            }
            403 | 429 | 503 => {}
            _ => self.find("a read was answered as none may be", &answer),
        }
    }

    fn find(&self, what: &str, answer: &Answer) {
        let shown = format!("{} {} {}", answer.status, answer.code(), answer.body["detail"]);
        self.journal.find(format!("{}: {what}, by {:?}: {shown}", self.company.name, SITES[self.at]));
    }

    /// Notes how long it was since the last acknowledged write, if the company was to be served all the time.
    fn note_acknowledged(&mut self, unchanged: Option<u64>) {
        let now = Instant::now();
        if let (Some(number), Some((last, at))) = (unchanged, self.last)
            && last == number
        {
            self.journal.note_gap(now - at);
        }
        self.last = unchanged.map(|number| (number, now));
    }

    /// Asks the other home next, if the company may be there.
    fn turn(&mut self) {
        let moves = self.company.homes().instance.name == self.company.name;
        self.at = if moves { 1 - self.at } else { 0 };
    }

    async fn ask(&mut self, method: Method, token: &str, body: Option<serde_json::Value>) -> anyhow::Result<Answer> {
        let home = self.company.homes().at(SITES[self.at]).clone();
        let address = match self.addresses[self.at].clone() {
            Some(address) => address,
            None => self.addresses[self.at].insert(home.service(WRITTEN).await?).clone(),
        };
        let request = self.http.request(method, format!("{address}/contacts")).timeout(ANSWER_TIMEOUT);
        let request = request.bearer_auth(token);
        Answer::of(if let Some(body) = body { request.json(&body) } else { request }).await
    }
}
