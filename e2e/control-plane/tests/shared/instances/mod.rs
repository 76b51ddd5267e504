//! Dedicated instances: what one is made of, how it is changed, and what becomes of it and its neighbours when something
//! of it is attacked, broken or taken away.

mod bounds;
mod deletion;
mod neighbours;
mod release;
mod routes;
mod services;
mod stack;

use anyhow::{Context, ensure};
use easycode_crds::Release;
use easycode_e2e::objects::{MENDED, api, appears, goes};
use easycode_e2e::{
    cluster::Cluster,
    own_instance::OwnInstance,
    platform::{EXAMPLE, Platform},
    releases,
    tenant::fresh_name,
    wait::until,
};
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{from_value, json};

/// The cluster, with the examples ready.
async fn cluster() -> anyhow::Result<Cluster> {
    Ok(Platform::example().await?.cluster)
}

/// How a service runs.
async fn deployment(own: &OwnInstance, service: &str) -> anyhow::Result<Deployment> {
    let deployments: Api<Deployment> = Api::namespaced(own.platform.cluster.client.clone(), &own.namespace());
    Ok(deployments.get(service).await?)
}

/// All pods of the instance.
async fn pods(own: &OwnInstance) -> anyhow::Result<Vec<Pod>> {
    own.platform.cluster.pods(&own.namespace(), "").await
}

/// Names of the services that have a Deployment.
async fn services(own: &OwnInstance) -> anyhow::Result<Vec<String>> {
    let all = api(&own.platform, Kind::Deployment).list(&ListParams::default()).await?;
    let mut names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// The name of the first contact, by which a tenant's data is known.
async fn first_contact(own: &OwnInstance) -> anyhow::Result<String> {
    let answer = own.tenant.serves(200).await;
    Ok(answer.body["items"][0]["familyName"].as_str().context("no contact")?.to_owned())
}

/// A release of a version of its own, made from that of the example. Remove it at the end.
async fn release_like(cluster: &Cluster, change: impl Fn(&mut Release)) -> anyhow::Result<Release> {
    let platforms: Api<easycode_crds::SharedPlatform> = Api::all(cluster.client.clone());
    let example = platforms.get(EXAMPLE).await?.spec.release;
    releases::like(cluster, &example, &fresh_name("release"), |release| {
        release.spec.version = format!("{}-{}", release.spec.version, release.name_any());
        change(release);
    })
    .await
}

/// Annotation that a definition in a group of Kubernetes must have, and what those of tests say.
const APPROVED: &str = "api-approved.kubernetes.io";
const FOR_A_TEST: &str = "unapproved, for a test";

/// A definition of another project, of which a test installs what it needs.
struct Definition {
    definitions: Api<CustomResourceDefinition>,
    kind: Kind,
}

impl Definition {
    /// The definition of the kind, if the cluster has it not; says so if it has.
    async fn missing(cluster: &Cluster, kind: Kind) -> anyhow::Result<Option<Self>> {
        let own = Self { definitions: Api::all(cluster.client.clone()), kind };
        let Some(found) = own.definitions.get_opt(&own.name()).await? else { return Ok(Some(own)) };
        if found.annotations().get(APPROVED).is_none_or(|approved| approved != FOR_A_TEST) {
            println!("left out: this cluster has the definition {}, of others' use", own.name());
            return Ok(None);
        }
        // What a test has left that did not end well.
        own.definitions.delete(&own.name(), &DeleteParams::default()).await?;
        until(&format!("definition {} is gone", own.name()), MENDED, || async {
            ensure!(own.definitions.get_opt(&own.name()).await?.is_none(), "it is still there");
            Ok(())
        })
        .await;
        Ok(Some(own))
    }

    fn name(&self) -> String {
        let resource = self.kind.resource();
        format!("{}.{}", resource.plural, resource.group)
    }

    /// Installs it, so that any object of the kind is taken as it is.
    async fn install(&self) -> anyhow::Result<()> {
        let resource = self.kind.resource();
        let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = from_value(json!({
            "metadata": { "name": self.name(), "annotations": { APPROVED: FOR_A_TEST } },
            "spec": {
                "group": resource.group, "scope": "Namespaced",
                "names": { "plural": resource.plural, "kind": resource.kind, "singular": resource.kind.to_lowercase() },
                "versions": [{
                    "name": resource.version, "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": any, "status": any } } },
                }],
            },
        }))?;
        self.definitions.create(&PostParams::default(), &definition).await?;
        Ok(())
    }

    async fn remove(self) -> anyhow::Result<()> {
        // CloudNativePG's is protected, as data goes with it.
        let confirmed = json!({ "metadata": { "annotations": { "easycode.io/confirm-delete": self.name() } } });
        self.definitions.patch(&self.name(), &PatchParams::default(), &Patch::Merge(confirmed)).await?;
        self.definitions.delete(&self.name(), &DeleteParams::default()).await?;
        Ok(())
    }
}
