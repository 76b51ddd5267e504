//! user-service, over HTTP, as a company's people use it: how they come in, what they may do, and what nobody may.

mod accounts;
mod boundaries;
mod delegations;
mod identity_provider;
mod invitations;
mod keys;
mod passwords;
mod roles;
mod sessions;
mod strangers;
mod trail;

use anyhow::ensure;
use easycode_contract::runtime::USER_SERVICE;
use easycode_testing::{Answer, Platform, TestTenant, people::Person};
use reqwest::Method;
use serde_json::{Value, json};

/// What a company is entitled to whose cashiers need all of it.
fn shop() -> Value {
    json!({ "entitlements": [
        { "service": "crm" }, { "service": "pos" }, { "service": "inventory" },
        { "service": "finance", "modules": ["ledger"] },
    ] })
}

/// A company with an administrator who is signed in.
async fn company(what: &str, spec: Value) -> anyhow::Result<(TestTenant, Person)> {
    TestTenant::with_administrator(&Platform::start().await?, what, spec).await
}

/// What user-service answers to a token.
async fn answer(person: &Person, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    person.ask(USER_SERVICE, method, path, body).await
}

/// Checks that a request was refused, with a status and words that say why.
fn refused(answer: &Answer, status: u16, why: &str) -> anyhow::Result<()> {
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    ensure!(answer.status == status && detail.contains(why), "was to be refused by {status} {why:?}: {answer:?}");
    Ok(())
}
