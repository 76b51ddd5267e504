//! Bounds of an instance's namespace: its quota, the limits of its containers, the addresses it may connect to.

use anyhow::{Context, ensure};
use easycode_e2e::{own_instance::OwnInstance, wait::until};
use easycode_operator::kubernetes::object::Kind;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{MENDED, api, appears, cluster, goes, pods};

fn quota(quota: &Value) -> Value {
    json!({ "isolation": { "quota": quota } })
}

#[tokio::test]
async fn a_quota_alone_bounds_every_container_and_all_but_the_usual_goes_when_it_is_no_longer_asked_for()
-> anyhow::Result<()> {
    let cluster = cluster().await?;
    let ample = quota(&json!({ "cpu": "4", "memory": "4Gi", "storage": "2Gi", "pods": 12 }));
    let own = OwnInstance::apply_new(&cluster, "quota", ample).await?;
    own.ready().await;
    let hard = appears(&own.platform, Kind::ResourceQuota, "bounds").await["spec"]["hard"].clone();
    let expected = json!({
        "requests.cpu": "4", "limits.cpu": "4", "requests.memory": "4Gi", "limits.memory": "4Gi",
        "requests.storage": "2Gi", "pods": "12", "services.loadbalancers": "0", "services.nodeports": "0",
    });
    ensure!(hard == expected, "{hard}");
    let all = pods(&own).await?;
    ensure!(all.iter().any(|pod| pod.name_any().starts_with("migrate-")), "no pod that migrates among {}", all.len());
    for pod in all {
        for container in &pod.spec.as_ref().context("no spec")?.containers {
            let resources = container.resources.clone().unwrap_or_default();
            for (bound, amounts) in [("requests", resources.requests), ("limits", resources.limits)] {
                let amounts = amounts.unwrap_or_default();
                let complete = ["cpu", "memory"].iter().all(|one| amounts.contains_key(*one));
                ensure!(complete, "{}: {bound} {amounts:?}", pod.name_any());
            }
        }
    }

    own.apply(json!({})).await?;
    let usual = json!({ "pods": "200", "services.loadbalancers": "0", "services.nodeports": "0" });
    until("the usual bounds are left", MENDED, || async {
        let hard = api(&own.platform, Kind::ResourceQuota).get("bounds").await?.data["spec"]["hard"].clone();
        ensure!(hard == usual, "{hard}");
        Ok(())
    })
    .await;
    goes(&own.platform, Kind::LimitRange, "bounds").await;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn more_than_the_default_may_be_asked_for_and_more_than_the_maximum_is_told_of() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let asks = |cpu: &str| {
        json!({
            "isolation": { "limits": { "defaultCpu": "100m", "defaultMemory": "128Mi", "maxCpu": "1", "maxMemory": "1Gi" } },
            "services": [{ "name": "crm", "resources": { "requests": { "cpu": cpu, "memory": "128Mi" } } }],
        })
    };
    let own = OwnInstance::apply_new(&cluster, "limits", asks("110m")).await?;
    own.ready().await;
    let bounds = &appears(&own.platform, Kind::LimitRange, "bounds").await["spec"]["limits"][0];
    ensure!(bounds["default"] == json!({ "cpu": "100m", "memory": "128Mi" }), "{bounds}");
    ensure!(bounds["max"] == json!({ "cpu": "1", "memory": "1Gi" }), "{bounds}");

    own.apply(asks("1500m")).await?;
    own.says("ServicesAvailable", "QuotaExceeded", "maximum cpu usage").await;
    own.tenant.serves(200).await;
    own.apply(asks("120m")).await?;
    own.ready().await;
    own.remove().await
}

#[tokio::test]
async fn further_addresses_are_open_for_as_long_as_they_are_named() -> anyhow::Result<()> {
    const OPEN: &str = "services-to-addresses";
    let cluster = cluster().await?;
    let to = |cidr: &str| json!({ "isolation": { "egress": [{ "cidr": cidr, "ports": [443] }] } });
    let own = OwnInstance::apply_new(&cluster, "egress", to("203.0.113.0/24")).await?;
    let said = appears(&own.platform, Kind::NetworkPolicy, OPEN).await["spec"]["egress"].clone();
    let expected =
        json!([{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }], "ports": [{ "port": 443, "protocol": "TCP" }] }]);
    ensure!(said == expected, "{said}");
    own.ready().await;
    own.apply(to("198.51.100.7/32")).await?;
    until("the other address is open alone", MENDED, || async {
        let policy = api(&own.platform, Kind::NetworkPolicy).get(OPEN).await?;
        let open = policy.data["spec"]["egress"][0]["to"].clone();
        ensure!(open == json!([{ "ipBlock": { "cidr": "198.51.100.7/32" } }]), "{open}");
        Ok(())
    })
    .await;
    own.apply(json!({})).await?;
    goes(&own.platform, Kind::NetworkPolicy, OPEN).await;
    own.remove().await
}
