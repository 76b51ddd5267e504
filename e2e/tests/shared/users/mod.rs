//! What only nodes show of user-service: keys that the kubelet renews, a login server at an address within the cluster, the memory of a pod.

mod keys;
mod own_login;
mod passwords;

use anyhow::ensure;
use easycode_contract::runtime::USER_SERVICE;
use easycode_e2e::{
    people::{self, Person},
    platform::{Answer, Platform},
    tenant::TestTenant,
};
use reqwest::Method;
use serde_json::Value;

/// A company with an administrator who is signed in.
async fn company(what: &str, spec: Value) -> anyhow::Result<(TestTenant, Person)> {
    people::tenant_with_administrator(&Platform::example().await?, what, spec).await
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
