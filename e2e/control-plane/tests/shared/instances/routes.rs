//! The ways in from outside, and what another project's operator is to run: with its definition and without.

use anyhow::ensure;
use easycode_e2e::{own_instance::OwnInstance, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Definition, MENDED, api, appears, cluster, goes};

const HOST: &str = "erp.e2e.example";

#[tokio::test]
async fn an_ingress_has_the_certificate_that_is_asked_for_and_goes_when_it_is_not_asked_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let with = |tls: Value| {
        json!({ "ingress": {
        "host": HOST, "className": "e2e", "controllerNamespace": "e2e-ingress", "tls": tls,
    } })
    };
    let own = OwnInstance::apply_new(&cluster, "ingress", with(json!({ "clusterIssuer": "letsencrypt" }))).await?;
    own.ready().await;
    let made = appears(&own.platform, Kind::Ingress, "services").await;
    ensure!(made["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt", "{made}");
    ensure!(made["spec"]["tls"] == json!([{ "hosts": [HOST], "secretName": "ingress-certificate" }]), "{made}");
    ensure!(made["spec"]["ingressClassName"] == "e2e" && made["spec"]["rules"][0]["host"] == HOST, "{made}");
    let paths: Vec<_> = made["spec"]["rules"][0]["http"]["paths"].as_array().into_iter().flatten().collect();
    let served: Vec<_> =
        paths.iter().map(|path| (path["path"].clone(), path["backend"]["service"]["name"].clone())).collect();
    let expected = [("/crm/", "crm"), ("/tenant/", "tenant-service"), ("/user/", "user-service")];
    let expected = expected.map(|(path, name)| (json!(path), json!(name)));
    ensure!(served.len() == 3 && expected.iter().all(|one| served.contains(one)), "{served:?}");
    ensure!(own.status().await?.endpoint.as_deref() == Some(&*format!("https://{HOST}")), "another endpoint");
    // Only the controller's namespace may connect.
    let policy = appears(&own.platform, Kind::NetworkPolicy, "services-from-ingress-controller").await;
    let from = &policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"];
    ensure!(from["kubernetes.io/metadata.name"] == "e2e-ingress", "{policy}");

    own.apply(with(json!({ "secretName": "own" }))).await?;
    until("the Secret is one's own", MENDED, || async {
        let now = appears(&own.platform, Kind::Ingress, "services").await;
        ensure!(now["spec"]["tls"][0]["secretName"] == "own", "{now}");
        ensure!(
            now["metadata"]["annotations"]["cert-manager.io/cluster-issuer"].is_null(),
            "it still asks cert-manager"
        );
        Ok(())
    })
    .await;
    // A service that is withdrawn has no path any more.
    own.tenant.change(json!({ "entitlements": [] })).await?;
    until("CRM has no path", MENDED, || async {
        let now = appears(&own.platform, Kind::Ingress, "services").await;
        ensure!(!now.to_string().contains("/crm/"), "{now}");
        Ok(())
    })
    .await;
    own.apply(json!({})).await?;
    goes(&own.platform, Kind::Ingress, "services").await;
    goes(&own.platform, Kind::NetworkPolicy, "services-from-ingress-controller").await;
    own.ready().await;
    ensure!(own.status().await?.endpoint.is_none(), "it still has an endpoint");
    own.remove().await
}

#[tokio::test]
async fn a_route_waits_for_the_gateway_api_and_goes_when_it_is_not_asked_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let Some(definition) = Definition::missing(&cluster, Kind::HTTPRoute).await? else { return Ok(()) };
    let gateway = |section: Option<&str>| {
        let mut gateway = json!({ "namespace": "gateways", "name": "public" });
        if let Some(section) = section {
            gateway["sectionName"] = section.into();
        }
        json!({ "ingress": { "host": HOST, "gatewayRef": gateway, "controllerNamespace": "gateways" } })
    };
    let own = OwnInstance::apply_new(&cluster, "route", gateway(Some("https"))).await?;
    own.says("ServicesAvailable", "DefinitionMissing", "httproutes.gateway.networking.k8s.io").await;
    own.condition("Ready", "False", "DefinitionMissing").await;
    // Inside the cluster it serves all the same.
    own.tenant.serves(200).await;

    definition.install().await?;
    own.ready().await;
    let made = appears(&own.platform, Kind::HTTPRoute, "services").await;
    let parent = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateways", "name": "public",
        "sectionName": "https",
    });
    ensure!(made["spec"]["parentRefs"] == json!([parent]) && made["spec"]["hostnames"] == json!([HOST]), "{made}");
    ensure!(made["spec"]["rules"].as_array().is_some_and(|rules| rules.len() == 3), "{made}");
    ensure!(own.status().await?.endpoint.as_deref() == Some(&*format!("https://{HOST}")), "another endpoint");
    own.apply(gateway(None)).await?;
    until("the route is for every listener", MENDED, || async {
        let now = appears(&own.platform, Kind::HTTPRoute, "services").await;
        ensure!(now["spec"]["parentRefs"][0]["sectionName"].is_null(), "{now}");
        Ok(())
    })
    .await;

    // By an Ingress instead, and the other way round, there is never both for long.
    let by_class = json!({ "ingress": { "host": HOST, "className": "e2e", "controllerNamespace": "gateways" } });
    own.apply(by_class).await?;
    appears(&own.platform, Kind::Ingress, "services").await;
    goes(&own.platform, Kind::HTTPRoute, "services").await;
    own.apply(gateway(None)).await?;
    appears(&own.platform, Kind::HTTPRoute, "services").await;
    goes(&own.platform, Kind::Ingress, "services").await;
    own.ready().await;
    // It goes with the instance, too.
    own.tenant.erase().await?;
    own.delete().await?;
    own.gone().await;
    goes(&own.platform, Kind::HTTPRoute, "services").await;
    definition.remove().await?;
    easycode_e2e::own_platform::remove_namespace(&cluster, &own.namespace()).await
}

#[tokio::test]
async fn a_cluster_of_cloud_native_pg_waits_for_its_definition_and_for_what_its_operator_says() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let Some(definition) = Definition::missing(&cluster, Kind::Cluster).await? else { return Ok(()) };
    let Some(backups) = Definition::missing(&cluster, Kind::ScheduledBackup).await? else { return Ok(()) };
    let region = cluster.region().await?;
    let database = |size: &str| {
        json!({
            "database": { "provider": "CloudNativePG", "cloudNativePG": { "instances": 2, "size": size } },
            "backup": {
                "destinationPath": "s3://backups/e2e", "endpointURL": "https://s3.e2e.example", "credentialsSecret": "s3",
                "retention": "14d",
            },
        })
    };
    let own = OwnInstance::apply_new(&cluster, "cnpg", database("1Gi")).await?;
    own.says("DatabaseReady", "DefinitionMissing", "clusters.postgresql.cnpg.io").await;
    definition.install().await?;
    own.says("DatabaseReady", "DefinitionMissing", "scheduledbackups.postgresql.cnpg.io").await;
    backups.install().await?;
    own.says("DatabaseReady", "Provisioning", "nothing yet").await;
    let nightly = appears(&own.platform, Kind::ScheduledBackup, "postgres").await["spec"].clone();
    ensure!(nightly["cluster"]["name"] == "postgres" && nightly["suspend"] == false, "{nightly}");
    let spec = appears(&own.platform, Kind::Cluster, "postgres").await["spec"].clone();
    ensure!(spec["instances"] == 2 && spec["storage"]["size"] == "1Gi", "{spec}");
    ensure!(spec["affinity"]["nodeSelector"]["topology.kubernetes.io/region"] == region, "{spec}");
    ensure!(spec["enableSuperuserAccess"] == false, "{spec}");
    ensure!(spec["backup"]["retentionPolicy"] == "14d", "{spec}");
    ensure!(spec["backup"]["barmanObjectStore"]["destinationPath"] == "s3://backups/e2e", "{spec}");

    // As its own operator would tell, and as it mends what is edited.
    let phase = json!({ "status": { "phase": "Setting up primary", "readyInstances": 0 } });
    api(&own.platform, Kind::Cluster).patch_status("postgres", &PatchParams::default(), &Patch::Merge(phase)).await?;
    own.says("DatabaseReady", "Provisioning", "Setting up primary").await;
    let fewer = json!({ "spec": { "instances": 1 } });
    api(&own.platform, Kind::Cluster).patch("postgres", &PatchParams::default(), &Patch::Merge(fewer)).await?;
    own.apply(database("2Gi")).await?;
    until("the cluster is as asked for", MENDED, || async {
        let now = appears(&own.platform, Kind::Cluster, "postgres").await["spec"].clone();
        ensure!(now["instances"] == 2 && now["storage"]["size"] == "2Gi", "{now}");
        Ok(())
    })
    .await;

    // Its data is not the operator's to delete.
    own.tenant.delete().await?;
    own.delete().await?;
    own.gone().await;
    appears(&own.platform, Kind::Cluster, "postgres").await;
    own.tenant.gone().await;
    easycode_e2e::own_platform::remove_namespace(&cluster, &own.namespace()).await?;
    backups.remove().await?;
    definition.remove().await
}
