//! What nobody may make of the namespaces of homes, the operator included, whose account may be stolen.

use anyhow::{Context, bail, ensure};
use easycode_e2e::{cluster::Cluster, operator::NAMESPACE, platform::Platform, tenant::fresh_name};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const VERSION: &str = "pod-security.kubernetes.io/enforce-version";

async fn as_operator(cluster: &Cluster) -> anyhow::Result<Cluster> {
    Cluster::connect_with(&cluster.token_of(NAMESPACE, "easycode-operator", None).await?).await
}

/// The message by which the API server refuses.
fn refusal<T>(outcome: kube::Result<T>, what: &str) -> anyhow::Result<String> {
    match outcome {
        Err(kube::Error::Api(refusal)) if [403, 422].contains(&refusal.code) => Ok(refusal.message.clone()),
        Err(error) => Err(error).with_context(|| what.to_owned()),
        Ok(_) => bail!("{what}: allowed"),
    }
}

fn namespace(name: &str, labels: &Value) -> anyhow::Result<Namespace> {
    Ok(from_value(json!({ "metadata": { "name": name, "labels": labels } }))?)
}

#[tokio::test]
async fn nobody_makes_a_homes_namespace_in_which_pods_may_have_rights() -> anyhow::Result<()> {
    let cluster = Platform::example().await?.cluster;
    let try_out = PostParams { dry_run: true, ..PostParams::default() };
    let weak = [
        Value::Null,
        json!({ "easycode.io/instance": "any" }),
        json!({ ENFORCE: "baseline" }),
        json!({ ENFORCE: "privileged" }),
        // The rules of that version refuse less.
        json!({ ENFORCE: "restricted", VERSION: "v1.18" }),
    ];
    for who in [&cluster, &as_operator(&cluster).await?] {
        let namespaces: Api<Namespace> = Api::all(who.client.clone());
        for prefix in ["easycode-instance-", "easycode-platform-"] {
            let name = format!("{prefix}{}", fresh_name("weak"));
            for labels in &weak {
                let told = refusal(namespaces.create(&try_out, &namespace(&name, labels)?).await, &labels.to_string())?;
                ensure!(told.contains("pod-security.kubernetes.io/enforce=restricted"), "{told}");
            }
            namespaces.create(&try_out, &namespace(&name, &json!({ ENFORCE: "restricted" }))?).await?;
        }
    }
    // Of others it is none of EasyCode's business.
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.create(&try_out, &namespace(&fresh_name("elsewhere"), &Value::Null)?).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_loosens_the_pod_security_of_a_homes_namespace() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    for who in [&platform.cluster, &as_operator(&platform.cluster).await?] {
        let namespaces: Api<Namespace> = Api::all(who.client.clone());
        for labels in [json!({ ENFORCE: "privileged" }), json!({ ENFORCE: null }), json!({ VERSION: "v1.18" })] {
            let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
            let outcome = namespaces.patch(&platform.namespace(), &PatchParams::default(), &patch).await;
            refusal(outcome, &labels.to_string())?;
        }
    }
    Ok(())
}
