//! Which platform a tenant is placed on. None of these platforms comes up, since placement needs only that they are there.

use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    own_platform::OwnPlatform,
    tenant::{TestTenant, fresh_name},
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A platform that waits for a release, with room for so many.
async fn with_room(cluster: &Cluster, tenants: u32) -> anyhow::Result<OwnPlatform> {
    let spec = json!({ "release": "never", "capacity": { "tenants": tenants } });
    let own = OwnPlatform::apply_new(cluster, "place", spec).await?;
    own.condition("Ready", "False", "ReleaseNotFound").await;
    Ok(own)
}

/// A tenant that is placed by its region.
async fn of_region(own: &OwnPlatform) -> anyhow::Result<TestTenant> {
    let spec = json!({ "deployment": {}, "region": own.platform.name });
    TestTenant::apply_new(&own.platform, "place", spec).await
}

fn message(tenant: &easycode_crds::Tenant, type_: &str) -> String {
    let found = tenant.status.iter().flat_map(|status| &status.conditions).find(|one| one.type_ == type_);
    found.map(|one| one.message.clone()).unwrap_or_default()
}

async fn raise(own: &OwnPlatform, tenants: u32) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({ "spec": { "capacity": { "tenants": tenants } } }));
    own.api().patch(&own.platform.name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_waits_while_its_platform_is_full_and_is_placed_when_there_is_more_room() -> anyhow::Result<()> {
    let own = with_room(&Cluster::connect().await?, 1).await?;
    let first = of_region(&own).await?;
    first.condition("Placed", "True", "").await;
    let second = of_region(&own).await?;
    let waiting = second.condition("Placed", "False", "NoCapacity").await;
    let way_out = message(&waiting, "Placed");
    ensure!(way_out.contains("capacity.tenants") && way_out.contains("create another"), "{way_out}");
    second.condition("Ready", "False", "NoCapacity").await;

    raise(&own, 2).await?;
    let placed = second.condition("Placed", "True", "").await;
    let on = placed.status.and_then(|status| status.platform);
    ensure!(on.as_ref() == Some(&own.platform.name), "placed on {on:?}");
    first.erase().await?;
    second.erase().await?;
    own.remove().await
}

#[tokio::test]
async fn a_tenant_that_waits_is_placed_when_another_leaves() -> anyhow::Result<()> {
    let own = with_room(&Cluster::connect().await?, 1).await?;
    let first = of_region(&own).await?;
    first.condition("Placed", "True", "").await;
    let second = of_region(&own).await?;
    second.condition("Placed", "False", "NoCapacity").await;
    first.erase().await?;
    second.condition("Placed", "True", "").await;
    second.erase().await?;
    own.remove().await
}

#[tokio::test]
async fn a_tenant_of_a_region_without_a_platform_is_placed_when_there_is_one() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let other = with_room(&cluster, 1).await?;
    let region = fresh_name("region");
    let spec = json!({ "deployment": {}, "region": region });
    let tenant = TestTenant::apply_new(&other.platform, "place", spec).await?;
    let waiting = tenant.condition("Placed", "False", "NoPlatformInRegion").await;
    let told = message(&waiting, "Placed");
    ensure!(told.contains(&region), "{told}");
    let own = OwnPlatform::apply_new(&cluster, "place", json!({ "release": "never", "region": region })).await?;
    tenant.condition("Placed", "True", "").await;
    tenant.erase().await?;
    own.remove().await?;
    other.remove().await
}

#[tokio::test]
async fn a_tenant_of_a_platform_that_does_not_exist_is_placed_when_it_does() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let later = OwnPlatform { platform: easycode_e2e::platform::Platform::of(cluster, &fresh_name("place")) };
    let tenant = TestTenant::apply_new(&later.platform, "place", json!({})).await?;
    let waiting = tenant.condition("Placed", "False", "PlatformNotFound").await;
    let told = message(&waiting, "Placed");
    ensure!(told.contains(&later.platform.name) && told.contains("create it"), "{told}");
    later.apply(json!({ "release": "never" })).await?;
    tenant.condition("Placed", "True", "").await;
    tenant.erase().await?;
    later.remove().await
}

#[tokio::test]
async fn a_named_platform_in_another_region_is_refused() -> anyhow::Result<()> {
    let own = with_room(&Cluster::connect().await?, 1).await?;
    let tenant = TestTenant::apply_new(&own.platform, "place", json!({ "region": fresh_name("region") })).await?;
    let refused = tenant.condition("Placed", "False", "NoPlatformInRegion").await;
    ensure!(refused.status.and_then(|status| status.platform).is_none(), "placed all the same");
    tenant.erase().await?;
    own.remove().await
}

#[tokio::test]
async fn many_tenants_at_once_never_overfill_their_platforms() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let region: Value = fresh_name("region").into();
    let with = async |tenants: u32| {
        let spec = json!({ "release": "never", "region": region, "capacity": { "tenants": tenants } });
        OwnPlatform::apply_new(&cluster, "place", spec).await
    };
    let (small, large) = (with(3).await?, with(5).await?);
    for own in [&small, &large] {
        own.condition("Ready", "False", "ReleaseNotFound").await;
    }
    let spec = json!({ "deployment": {}, "region": region });
    let applied = (0..12).map(|_| TestTenant::apply_new(&small.platform, "place", spec.clone()));
    let tenants = futures::future::try_join_all(applied).await?;
    let mut placed = std::collections::BTreeMap::new();
    for tenant in &tenants {
        let now = easycode_e2e::wait::until("it is decided", easycode_e2e::tenant::PATIENCE, || async {
            let now = tenant.get().await?;
            ensure!(now.status.as_ref().is_some_and(|status| !status.conditions.is_empty()), "not yet");
            Ok(now)
        })
        .await;
        *placed.entry(now.status.and_then(|status| status.platform)).or_insert(0) += 1;
    }
    let expected = [(None, 4), (Some(small.platform.name.clone()), 3), (Some(large.platform.name.clone()), 5)];
    ensure!(placed == expected.into(), "{placed:?}");
    for tenant in &tenants {
        tenant.erase().await?;
    }
    small.remove().await?;
    large.remove().await
}
