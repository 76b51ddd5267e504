//! The operator's own probes: they run when asked to, say when they did, and notice what gets through.

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::runtime::{USER_SERVICE, base_url};
use easycode_e2e::{
    platform::Platform,
    probes::{TURN, notices},
    tenant::TestTenant,
    wait::until,
};
use easycode_operator::isolation::network::JOB;
use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use kube::Api;
use serde_json::{Value, json};

#[tokio::test]
async fn a_probe_says_when_it_was_and_notices_what_gets_through_and_that_it_was_mended() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let tenant = TestTenant::create(&platform, "probe", json!({})).await?;
    notices(&tenant).await?;
    tenant.erase().await
}

#[tokio::test]
async fn the_probes_pod_has_no_rights_and_no_secret_but_a_token_that_opens_nothing() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let api: Api<Job> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    let job = until("there is a probe's job", TURN, || async { Ok(api.get(JOB).await?) }).await;
    let pod = job.spec.and_then(|spec| spec.template.spec).context("no pod")?;
    ensure!(pod.automount_service_account_token == Some(false), "it has a token");
    let volumes = pod.volumes.unwrap_or_default();
    let mounted: Vec<_> =
        volumes.iter().map(|volume| volume.secret.as_ref().and_then(|one| one.secret_name.as_deref())).collect();
    ensure!(mounted == [Some(JOB)], "it mounts {volumes:?}");
    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client.clone(), &platform.namespace());
    // Made for the last turn, if there was another home then.
    if let Some(secret) = secrets.get_opt(JOB).await? {
        let data = secret.data.unwrap_or_default();
        let token = data.get("token").filter(|_| data.len() == 1).context("more than a token")?;
        let claims = std::str::from_utf8(&token.0)?.split('.').nth(1).context("no JWT")?;
        let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
        ensure!(
            claims["roles"] == json!([]) && claims["iss"] != json!(base_url(USER_SERVICE, &platform.namespace())),
            "{claims}"
        );
        let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(until, from)| until - from);
        ensure!(life.is_some_and(|seconds| seconds <= 180), "{claims}");
    }
    ensure!(pod.containers.len() == 1 && pod.containers[0].env_from.is_none(), "{:?}", pod.containers);
    Ok(())
}
