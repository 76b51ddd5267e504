//! What an instance is made of, and how it follows what its tenant may use.

use std::time::Instant;

use anyhow::{Context, ensure};
use easycode_e2e::own_instance::OwnInstance;
use easycode_operator::kubernetes::object::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::{Value, from_value, json};

use super::{appears, cluster, first_contact, pods, services};

#[tokio::test]
async fn an_instance_comes_up_closed_and_says_in_its_columns_how_it_is() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let begun = Instant::now();
    let own = OwnInstance::apply_new(&cluster, "stack", json!({})).await?;
    own.ready().await;
    println!("ready {:?} after it was applied", begun.elapsed());
    own.tenant.add_contact("Lovelace").await?;
    ensure!(first_contact(&own).await? == "Lovelace", "its data is another's");
    ensure!(services(&own).await? == ["crm", "tenant-service", "user-service"], "it runs {:?}", services(&own).await?);

    // Closed: to pods that are not restricted, and to connections.
    let namespace = appears(&own.platform, Kind::Namespace, &own.namespace()).await;
    for mode in ["enforce", "audit", "warn"] {
        let label = &namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")];
        ensure!(label == "restricted", "{mode}: {label}");
    }
    let intruder: Pod = from_value(json!({
        "metadata": { "name": "intruder" },
        "spec": { "hostNetwork": true, "containers": [{ "name": "c", "image": "intruder:1" }] },
    }))?;
    let client = cluster.client.clone();
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    let refusal = Api::<Pod>::namespaced(client, &own.namespace()).create(&trial, &intruder).await;
    ensure!(refusal.is_err_and(|error| error.to_string().contains("restricted")), "it was admitted");
    let deny = appears(&own.platform, Kind::NetworkPolicy, "default-deny").await;
    ensure!(deny["spec"]["podSelector"] == json!({}), "not for all pods: {deny}");
    ensure!(deny["spec"]["policyTypes"] == json!(["Ingress", "Egress"]), "{deny}");
    ensure!(deny["spec"]["ingress"].is_null() && deny["spec"]["egress"].is_null(), "{deny}");

    let region = cluster.region().await?;
    for pod in pods(&own).await? {
        let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.clone()).unwrap_or_default();
        ensure!(
            selector.get("topology.kubernetes.io/region") == Some(&region),
            "{} may run anywhere: {selector:?}",
            pod.name_any()
        );
    }

    let cells = columns(&own).await?;
    for (column, value) in [
        ("Name", &*own.platform.name),
        ("Ready", "True"),
        ("Reason", "AsPlanned"),
        ("Tenant", &*own.tenant.name),
        ("Region", &*region),
        ("Database", "Embedded"),
        ("Namespace", &*own.namespace()),
    ] {
        ensure!(cells[column] == value, "{column} is {}, not {value}", cells[column]);
    }
    ensure!(cells["Version"].as_str().is_some_and(|version| !version.is_empty()), "{cells}");
    let status = own.status().await?;
    let database = status.database.context("no status of the database")?;
    ensure!(database.ready && database.version.is_some_and(|version| version.starts_with('1')), "no version");
    ensure!(status.deviations.is_empty(), "{:?}", status.deviations);
    for type_ in ["TenantBound", "Scheduled", "DatabaseReady", "Migrated", "ServicesAvailable"] {
        own.condition(type_, "True", "AsPlanned").await;
    }
    own.remove().await
}

/// The columns of `kubectl get`, by name.
async fn columns(own: &OwnInstance) -> anyhow::Result<Value> {
    let path = format!("/apis/easycode.io/v1alpha1/dedicatedinstances/{}", own.platform.name);
    let request =
        http::Request::get(path).header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").body(Vec::new())?;
    let table: Value = serde_json::from_str(&own.platform.cluster.client.request_text(request).await?)?;
    let names = table["columnDefinitions"].as_array().context("no columns")?;
    let cells = table["rows"][0]["cells"].as_array().context("no cells")?;
    let pairs = names.iter().zip(cells).map(|(column, cell)| (column["name"].as_str().unwrap_or_default(), cell));
    Ok(json!(pairs.collect::<std::collections::BTreeMap<_, _>>()))
}
