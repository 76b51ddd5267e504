//! The operator's chart, as Helm renders it.

use std::{process::Command, time::Duration};

use anyhow::{Context, bail, ensure};
use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant};
use easycode_e2e::{
    cluster::{Cluster, checkout},
    operator::NAMESPACE,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Discovery, Resource, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta},
    core::GroupVersionKind,
    discovery::{Scope, verbs},
};
use serde::de::DeserializeOwned;

use crate::environment;

/// Applies the chart and waits until its definitions are served.
pub(crate) async fn install(cluster: &Cluster) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAMESPACE.to_owned());
    namespaces.create(&PostParams::default(), &namespace).await?;
    let known = Discovery::new(cluster.client.clone()).run().await?;
    for object in render()? {
        let types = object.types.clone().unwrap_or_default();
        apply(cluster, &known, &types, &object).await?;
    }
    served::<Tenant>(cluster).await?;
    served::<SharedPlatform>(cluster).await?;
    served::<DedicatedInstance>(cluster).await?;
    served::<Release>(cluster).await?;
    served::<ReleaseChannel>(cluster).await
}

fn render() -> anyhow::Result<Vec<DynamicObject>> {
    let mut helm = Command::new(environment::kubernetes("helm")?);
    helm.args(["template", "easycode", "--namespace", NAMESPACE]).arg(checkout().join("charts/easycode"));
    // Tests wait for what its looks into Postgres find.
    helm.args(["--set", "surveySeconds=5"]);
    let output = helm.output().context("helm")?;
    ensure!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_saphyr::from_multiple(&String::from_utf8(output.stdout)?)?)
}

async fn apply(cluster: &Cluster, known: &Discovery, types: &TypeMeta, object: &DynamicObject) -> anyhow::Result<()> {
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, capabilities) = known.resolve_gvk(&kind).with_context(|| format!("unknown kind {}", kind.kind))?;
    ensure!(capabilities.supports_operation(verbs::PATCH), "{} can't be applied", kind.kind);
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(cluster.client.clone(), &namespace, &resource),
        (Scope::Namespaced, None) => bail!("{} {} names no namespace", kind.kind, object.name_any()),
        (Scope::Cluster, _) => Api::all_with(cluster.client.clone(), &resource),
    };
    let params = PatchParams::apply("helm").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await.with_context(|| object.name_any())?;
    Ok(())
}

/// Waits until the API server serves a kind.
async fn served<K>(cluster: &Cluster) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(cluster.client.clone());
    for _ in 0..500 {
        if api.list_metadata(&ListParams::default().limit(1)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("{} is not served", K::kind(&()))
}
