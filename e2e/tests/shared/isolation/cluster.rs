//! Attacks from within the cluster, with the service accounts of the platform's pods.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use easycode_contract::{
    runtime::{API_PORT, TENANT_SERVICE, TENANT_SERVICE_AUDIENCE},
    stream::{CONTEXTS_PATH, STREAM_PATH},
};
use easycode_crds::Tenant;
use easycode_e2e::{
    cluster::Cluster,
    platform::{Answer, Platform},
    reach::reach,
    tenant::fresh_name,
};
use k8s_openapi::api::{
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    core::v1::{ConfigMap, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};

/// Checks that the API server refuses with the status.
fn refused<T>(outcome: kube::Result<T>, status: u16, what: &str) -> anyhow::Result<()> {
    match outcome {
        Err(kube::Error::Api(refusal)) if refusal.code == status => Ok(()),
        Err(error) => bail!("{what}: {error}, and not {status}"),
        Ok(_) => bail!("{what}: allowed"),
    }
}

/// What an account may do in a namespace beside asking who it is and what it may do: `verb group/resource`.
async fn rights(cluster: &Cluster, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..Default::default() };
    let api: Api<SelfSubjectRulesReview> = Api::all(cluster.client.clone());
    let status = api.create(&PostParams::default(), &review).await?.status.context("no rules")?;
    ensure!(!status.incomplete, "the rules are not all known");
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                let of_everyone = ["authorization.k8s.io", "authentication.k8s.io"].contains(&group.as_str());
                if !of_everyone {
                    rights.extend(rule.verbs.iter().map(|verb| format!("{verb} {group}/{resource}")));
                }
            }
        }
    }
    Ok(rights)
}

#[tokio::test]
async fn a_services_account_reads_no_config_and_no_secret() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let namespace = platform.namespace();
    let token = platform.cluster.token_of(&namespace, "crm", None).await?;
    let crm = Cluster::connect_with(&token).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(crm.client.clone(), &namespace);
    refused(config_maps.list(&ListParams::default()).await, 403, "list ConfigMaps")?;
    refused(config_maps.get("tenant-borealis").await, 403, "another tenant's ConfigMap")?;
    let secrets: Api<Secret> = Api::namespaced(crm.client.clone(), &namespace);
    refused(secrets.list(&ListParams::default()).await, 403, "list Secrets")?;
    refused(secrets.get("database-svc-crm").await, 403, "its own Secret")?;
    let pods: Api<Pod> = Api::namespaced(crm.client.clone(), &namespace);
    refused(pods.list(&ListParams::default()).await, 403, "list pods")?;
    refused(Api::<Tenant>::all(crm.client.clone()).list(&ListParams::default()).await, 403, "list Tenants")?;
    for place in [namespace.as_str(), "kube-system", "easycode-system", "default"] {
        let rights = rights(&crm, place).await?;
        ensure!(rights.is_empty(), "in {place}: {rights:?}");
    }
    Ok(())
}

#[tokio::test]
async fn tenant_service_reads_the_configmaps_of_its_namespace_and_nothing_else() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let namespace = platform.namespace();
    let token = platform.cluster.token_of(&namespace, TENANT_SERVICE, None).await?;
    let service = Cluster::connect_with(&token).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(service.client.clone(), &namespace);
    let context = config_maps.get("tenant-aurora").await?;
    refused(config_maps.delete(&context.name_any(), &DeleteParams::default()).await, 403, "delete a ConfigMap")?;
    refused(config_maps.replace("tenant-aurora", &PostParams::default(), &context).await, 403, "write a ConfigMap")?;
    let secrets: Api<Secret> = Api::namespaced(service.client.clone(), &namespace);
    refused(secrets.list(&ListParams::default()).await, 403, "list Secrets")?;
    let elsewhere: Api<ConfigMap> = Api::all(service.client.clone());
    refused(elsewhere.list(&ListParams::default()).await, 403, "ConfigMaps of the whole cluster")?;
    let here = rights(&service, &namespace).await?;
    ensure!(here == ["get", "list", "watch"].map(|verb| format!("{verb} /configmaps")).into(), "{here:?}");
    for place in ["kube-system", "easycode-system", "default"] {
        let rights = rights(&service, place).await?;
        ensure!(rights.is_empty(), "in {place}: {rights:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_token_that_is_mounted_into_a_service_is_none_for_the_api_server() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let namespace = platform.namespace();
    for account in ["crm", TENANT_SERVICE] {
        let token = platform.cluster.token_of(&namespace, account, Some(TENANT_SERVICE_AUDIENCE)).await?;
        let holder = Cluster::connect_with(&token).await?;
        let config_maps: Api<ConfigMap> = Api::namespaced(holder.client.clone(), &namespace);
        refused(config_maps.list(&ListParams::default()).await, 401, account)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_of_another_namespace_gets_no_context() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(platform.cluster.client.clone(), "default");
    let address = reach(&platform.cluster, &platform.namespace(), TENANT_SERVICE, API_PORT).await?;
    // Under a name of its own, and under that of a service: the namespace is what counts.
    let impostor = ServiceAccount {
        metadata: ObjectMeta { name: Some("crm".to_owned()), ..Default::default() },
        ..Default::default()
    };
    let stranger = fresh_name("stranger");
    let account = |name: &str| {
        let mut account = impostor.clone();
        account.metadata.name = Some(name.to_owned());
        account
    };
    for name in ["crm", &stranger] {
        accounts.create(&PostParams::default(), &account(name)).await?;
        let token = platform.cluster.token_of("default", name, Some(TENANT_SERVICE_AUDIENCE)).await;
        accounts.delete(name, &DeleteParams::default()).await?;
        let token = token?;
        for path in [CONTEXTS_PATH.to_owned(), format!("{CONTEXTS_PATH}/aurora"), STREAM_PATH.to_owned()] {
            let request = easycode_kit::http::client().get(format!("http://{address}{path}")).bearer_auth(&token);
            let answer = Answer::of(request).await?;
            ensure!((answer.status, answer.code()) == (403, "foreign-service"), "{name} {path}: {answer:?}");
        }
    }
    Ok(())
}
