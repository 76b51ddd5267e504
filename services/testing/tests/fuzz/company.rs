//! A company whose records can be told from those of all others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use easycode_contract::runtime::COMMON_SERVICES;
use easycode_testing::{Answer, Platform, TestTenant, people, tokens};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::description::Description;

/// A company that has bought everything.
pub struct Company {
    /// Its tenant.
    pub tenant: TestTenant,
    /// A word that is in all its texts, and in nobody else's.
    pub marker: String,
    /// Token of a user with all roles of all services.
    pub token: String,
    /// Ids of its records that others get to know.
    pub known: Vec<String>,
    /// Ids of its records that nobody gets to know.
    pub unknown: Vec<String>,
}

impl Company {
    /// Makes one that is entitled to all that the release has, and is not slowed down.
    pub async fn create(platform: &Platform, what: &str, roles: &[String]) -> anyhow::Result<Self> {
        let sold =
            platform.release().spec.services.iter().filter(|service| !COMMON_SERVICES.contains(&service.name.as_str()));
        let entitlements: Vec<_> =
            sold.map(|service| json!({ "service": service.name, "modules": service.modules })).collect();
        let spec = json!({ "entitlements": entitlements, "limits": { "requestsPerSecond": 100_000, "connections": 20, "users": 10_000 } });
        let tenant = TestTenant::create(platform, what, people::with_administrator(spec)).await?;
        let roles: Vec<_> = roles.iter().map(String::as_str).collect();
        let token = tokens::token(&tenant.name, &roles)?;
        let marker = format!("marker{}", Uuid::new_v4().simple());
        Ok(Self { tenant, marker, token, known: Vec::new(), unknown: Vec::new() })
    }

    /// Asks a service as the user with all roles.
    pub async fn ask(&self, service: &str, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        self.tenant.platform.ask(service, method, path, &self.token, body).await
    }

    /// Makes a record, and notes its ids: every other one others get to know.
    pub async fn make(&mut self, service: &str, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.ask(service, method, path, Some(body)).await?;
        ensure!((200..300).contains(&answer.status), "{service}{path}: {answer:?}");
        let noted: BTreeSet<_> = self.known.iter().chain(&self.unknown).cloned().collect();
        let mut found = BTreeSet::new();
        ids(&answer.body, &mut found);
        for id in found.difference(&noted) {
            let shorter = if self.known.len() <= self.unknown.len() { &mut self.known } else { &mut self.unknown };
            shorter.push(id.clone());
        }
        Ok(answer.body)
    }

    /// All its records, by where they are read.
    pub async fn records(&self, services: &[Description]) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut all = BTreeMap::new();
        for service in services {
            let one = service
                .records()
                .flat_map(|path| self.known.iter().chain(&self.unknown).map(move |id| path.replace("{id}", id)));
            for path in service.lists().map(str::to_owned).chain(one) {
                let answer = self.ask(&service.name, Method::GET, &path, None).await?;
                if answer.status == 200 {
                    all.insert(format!("{}{path}", service.name), answer.body);
                }
            }
        }
        Ok(all)
    }

    /// What nobody else is ever to be shown.
    pub fn secrets(&self) -> Vec<&str> {
        let names = [self.marker.as_str(), self.tenant.name.as_str()];
        names.into_iter().chain(self.unknown.iter().map(String::as_str)).collect()
    }
}

/// All ids in an answer.
fn ids(answer: &Value, found: &mut BTreeSet<String>) {
    match answer {
        Value::String(text) if Uuid::parse_str(text).is_ok() => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| ids(field, found)),
        _ => {}
    }
}
