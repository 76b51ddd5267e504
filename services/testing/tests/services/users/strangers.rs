//! What someone learns of a company by its name alone: nothing, neither from refusals nor from how soon they come.

use std::time::Instant;

use anyhow::ensure;
use easycode_testing::{Answer, people::ask};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;

use super::company;

/// How often something is asked at once.
const ASKED: usize = 130;

#[tokio::test]
async fn who_asks_to_sign_in_learns_not_whether_there_is_such_a_company() -> anyhow::Result<()> {
    let (tenant, _) = company("guessed", json!({ "limits": { "requestsPerSecond": 20 } })).await?;
    let mut seen = Vec::new();
    for name in [tenant.name.as_str(), "guessed-nowhere"] {
        let path = format!("/oidc/start?tenant={name}");
        let answers = try_join_all((0..ASKED).map(|_| ask(&tenant.platform, Method::GET, &path, None))).await?;
        let limited = answers.iter().filter(|answer| answer.status == 429).count();
        ensure!(limited > 0, "{name} is not limited");
        ensure!(answers.iter().all(|answer| [404, 429].contains(&answer.status)), "{answers:?}");
        let refusal = answers.into_iter().find(|answer| answer.status == 404).map(|answer| answer.body);
        seen.push((limited, refusal));
    }
    let (there, nowhere) = (&seen[0], &seen[1]);
    // The bucket fills again while the answers come.
    ensure!(there.0.abs_diff(nowhere.0) <= 30, "{} and {} were limited", there.0, nowhere.0);
    ensure!(there.1 == nowhere.1, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_takes_as_long_for_a_company_as_for_none() -> anyhow::Result<()> {
    let (tenant, _) = company("timed", json!({})).await?;
    let base = tenant.platform.base_url(easycode_contract::runtime::USER_SERVICE).await?;
    for path in ["/user/v1/oidc/start?tenant=", "/user/sign-in?company="] {
        for name in [tenant.name.as_str(), "timed-nowhere"] {
            let begun = Instant::now();
            let answer = Answer::of(easycode_kit::http::client().get(format!("{base}{path}{name}"))).await?;
            let took = begun.elapsed();
            ensure!((400..900).contains(&took.as_millis()), "{path}{name}: {answer:?} after {took:?}");
        }
    }
    Ok(())
}
