//! Tries to get where it must not: the operator runs this on a schedule in a namespace of each installation, from a pod that
//! has no rights.

use std::time::Duration;

use anyhow::Context;
use easycode_contract::{
    probe::{self, ProbePlan, ProbeReport},
    runtime::USER_AUDIENCE,
};
use futures::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout},
};

use crate::http;

/// Time after which an address counts as out of reach: policies drop packets without an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two attempts at an address that answered.
const PAUSE: Duration = Duration::from_millis(500);

/// Tries everything of the plan in the environment, and leaves the report.
pub async fn run() -> anyhow::Result<()> {
    let plan = std::env::var(probe::PLAN).with_context(|| format!("{} is not set", probe::PLAN))?;
    let plan: ProbePlan = serde_json::from_str(&plan).with_context(|| format!("{} is no plan", probe::PLAN))?;
    let report = attempt(&plan).await;
    tracing::info!(attempts = report.attempts, breaches = ?report.breaches, untried = ?report.untried, "probed");
    tokio::fs::write(probe::REPORT, serde_json::to_vec(&report)?).await.context("leaving the report")
}

async fn attempt(plan: &ProbePlan) -> ProbeReport {
    let mut report = ProbeReport::default();
    let patience = Duration::from_secs(plan.patience_seconds);
    let controls = settled(&plan.control, patience).await;
    let told: Vec<_> = controls.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    let unresolved = controls.iter().find_map(|one| one.as_ref().err());
    report.enforced = (!told.is_empty()).then(|| !told.contains(&true));
    report.unresolved = unresolved.filter(|_| told.is_empty()).map(ToString::to_string);
    if report.enforced != Some(false) {
        let answers = settled(&plan.forbidden, patience).await;
        for (address, answered) in plan.forbidden.iter().zip(answers) {
            match answered {
                Ok(true) => report.breaches.push(format!("{address} accepts connections from here")),
                Ok(false) => {}
                Err(error) => {
                    report.untried.push(format!("{address}: {error}"));
                    continue;
                }
            }
            report.attempts += 1;
        }
    }
    let client = http::client();
    for service in &plan.services {
        match guarded_path(&client, service).await {
            Some(path) => {
                let foreign = foreign().await.map(|token| ("signed elsewhere", token));
                for (kind, token) in forged(plan).into_iter().chain(foreign) {
                    report.attempts += 1;
                    match client
                        .get(&path)
                        .timeout(PATIENCE)
                        .bearer_auth(token)
                        .send()
                        .await
                        .map(|answer| answer.status())
                    {
                        Ok(StatusCode::UNAUTHORIZED) => {}
                        // A service that is broken has refused nothing.
                        Ok(status) if status.is_server_error() => {
                            report.untried.push(format!("{path} answered {status}"));
                        }
                        Ok(status) => report.breaches.push(format!("{path} answered {status} to a token {kind}")),
                        Err(error) => report.untried.push(format!("{path}: {error}")),
                    }
                }
            }
            None => report.untried.push(format!("{service} shows no path to try")),
        }
    }
    report.breaches.truncate(ProbeReport::MOST);
    report.untried.truncate(ProbeReport::MOST);
    report
}

/// Whether each address takes connections, once none does any more, or after so long at the latest.
async fn settled(addresses: &[String], patience: Duration) -> Vec<std::io::Result<bool>> {
    let until = Instant::now() + patience;
    let settle = async |address: &String| {
        loop {
            let outcome = answers(address).await;
            if matches!(outcome, Ok(false)) || Instant::now() >= until {
                return outcome;
            }
            sleep(PAUSE).await;
        }
    };
    join_all(addresses.iter().map(settle)).await
}

/// Whether an address takes connections. An error, if its name can't be resolved: that says nothing.
async fn answers(address: &str) -> std::io::Result<bool> {
    let resolved = timeout(PATIENCE, lookup_host(address)).await.map_err(std::io::Error::other)??;
    let resolved: Vec<_> = resolved.collect();
    Ok(matches!(timeout(PATIENCE, TcpStream::connect(&resolved[..])).await, Ok(Ok(_))))
}

/// A path of the service that is read without parameters and with a token, out of its own description.
async fn guarded_path(client: &Client, base: &str) -> Option<String> {
    let document: Value =
        client.get(format!("{base}/openapi.json")).timeout(PATIENCE).send().await.ok()?.json().await.ok()?;
    // What says something of its own of security is open to others, too.
    let is_plain =
        |path: &str, item: &Value| !path.contains('{') && item["get"].is_object() && item["get"]["security"].is_null();
    let path = document["paths"].as_object()?.iter().find(|(path, item)| is_plain(path, item))?.0;
    Some(format!("{base}{path}"))
}

/// The token of a tenant of another home, if there is one.
async fn foreign() -> Option<String> {
    let path = std::path::Path::new(probe::FOREIGN_DIR).join(probe::FOREIGN_TOKEN);
    tokio::fs::read_to_string(path).await.ok()
}

/// Tokens that say all that is asked for, and that nobody signed who may.
fn forged(plan: &ProbePlan) -> Vec<(&'static str, String)> {
    let claims = json!({
        "iss": plan.issuer, "aud": USER_AUDIENCE, "sub": "probe", "tenant": plan.tenant, "roles": ["admin"],
        "exp": 4_102_444_800_u64,
    });
    let part = |value: &Value| base64_url(value.to_string().as_bytes());
    let unsigned = |header: Value, signature: &str| format!("{}.{}.{signature}", part(&header), part(&claims));
    let mut tokens = vec![
        ("without a signature", unsigned(json!({ "alg": "none", "typ": "JWT" }), "")),
        (
            "with a made-up signature",
            unsigned(json!({ "alg": "EdDSA", "typ": "JWT", "kid": "probe" }), &base64_url(&[7; 64])),
        ),
    ];
    let header = Header { kid: Some("probe".to_owned()), ..Header::new(Algorithm::HS256) };
    if let Ok(token) = encode(&header, &claims, &EncodingKey::from_secret(b"secret")) {
        tokens.push(("signed with a shared secret", token));
    }
    tokens
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_answers_is_told_and_what_does_not_is_not() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = listener.local_addr().unwrap().to_string();
        // The first listener is closed again, so nothing answers there.
        let plan = ProbePlan {
            control: vec![open.to_string()],
            forbidden: vec![answering.clone(), open.to_string()],
            ..ProbePlan::default()
        };
        let report = attempt(&plan).await;
        assert_eq!((report.attempts, report.enforced), (2, Some(true)));
        assert_eq!(report.breaches, [format!("{answering} accepts connections from here")]);
        drop(listener);
    }

    #[tokio::test]
    async fn where_a_control_answers_nothing_is_said_of_the_network() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = listener.local_addr().unwrap().to_string();
        let plan = ProbePlan { control: vec![answering.clone()], forbidden: vec![answering], ..ProbePlan::default() };
        let report = attempt(&plan).await;
        assert_eq!((report.attempts, report.enforced, report.breaches.len()), (0, Some(false), 0));
    }

    #[tokio::test]
    async fn what_is_refused_only_after_a_while_counts_as_refused() {
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let addresses = listeners.each_ref().map(|one| one.local_addr().unwrap().to_string());
        let [control, forbidden] = listeners;
        // An engine that has learnt of the pod late, and of one policy later than of the other.
        tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            drop(control);
            sleep(Duration::from_millis(600)).await;
            drop(forbidden);
        });
        let [control, forbidden] = addresses;
        let plan = ProbePlan {
            control: vec![control],
            forbidden: vec![forbidden],
            patience_seconds: 20,
            ..ProbePlan::default()
        };
        let report = attempt(&plan).await;
        assert_eq!((report.attempts, report.enforced, report.breaches.len()), (1, Some(true), 0));
    }

    #[tokio::test]
    async fn what_still_answers_after_that_is_a_breach() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = listener.local_addr().unwrap().to_string();
        let plan = ProbePlan {
            control: vec![closed],
            forbidden: vec![answering],
            patience_seconds: 1,
            ..ProbePlan::default()
        };
        let started = Instant::now();
        let report = attempt(&plan).await;
        assert_eq!((report.attempts, report.enforced, report.breaches.len()), (1, Some(true), 1));
        assert!(started.elapsed() >= Duration::from_secs(1));
        drop(listener);
    }

    #[tokio::test]
    async fn where_no_name_is_resolved_that_is_told() {
        let plan = ProbePlan { control: vec!["nowhere.invalid:443".to_owned()], ..ProbePlan::default() };
        let report = attempt(&plan).await;
        assert_eq!((report.enforced, report.unresolved.is_some()), (None, true));
    }
}
