//! The homes whose database may have records.

use std::collections::BTreeSet;

use anyhow::Context;
use easycode_crds::{DedicatedInstance, SharedPlatform, Tenant};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::{
    kubernetes::labels,
    stack::home::Home,
    tenant::{
        placement::placed_on,
        relocation::{destined_for, former_homes},
    },
};

/// All, those whose object is gone included, since their namespace is left with the data; with those that the tenant left and that
/// keep a copy: if one is not there any more, that is to be said rather than left out.
pub async fn all(client: &Client, tenant: Option<&str>) -> anyhow::Result<BTreeSet<Home>> {
    let (platforms, instances, namespaces) = (
        Api::<SharedPlatform>::all(client.clone()),
        Api::<DedicatedInstance>::all(client.clone()),
        Api::<Namespace>::all(client.clone()),
    );
    let (everything, ours) = (ListParams::default(), ListParams::default().labels(labels::MANAGED_BY));
    let (platforms, instances, namespaces) =
        futures::try_join!(platforms.list(&everything), instances.list(&everything), namespaces.list(&ours))
            .context("listing platforms, instances and their namespaces")?;
    let mut homes: BTreeSet<_> = platforms.iter().map(|one| Home::Platform(one.name_any())).collect();
    homes.extend(instances.iter().map(|one| Home::Instance(one.name_any())));
    homes.extend(namespaces.iter().filter_map(of_namespace));
    if let Some(name) = tenant {
        let tenant = Api::<Tenant>::all(client.clone()).get_opt(name).await.context("reading the tenant")?;
        homes.extend(tenant.iter().flat_map(former_homes));
    }
    Ok(homes)
}

/// Those that have the tenant's data: where it lives, is being moved to, and left a copy.
#[must_use]
pub fn of(tenant: &Tenant) -> BTreeSet<Home> {
    placed_on(tenant).into_iter().chain(destined_for(tenant)).chain(former_homes(tenant)).collect()
}

/// The home that a namespace was made for.
fn of_namespace(namespace: &Namespace) -> Option<Home> {
    let label = |key: &str| namespace.labels().get(key).cloned();
    let home = label(labels::PLATFORM).map(Home::Platform).or_else(|| label(labels::INSTANCE).map(Home::Instance))?;
    (home.namespace() == namespace.name_any()).then_some(home)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_namespace_tells_whose_it_is() {
        let home = |name: &str, labels: serde_json::Value| {
            of_namespace(&from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap())
        };
        for made in [Home::Platform("eu1".to_owned()), Home::Instance("acme".to_owned())] {
            assert_eq!(home(&made.namespace(), made.labels("namespace")), Some(made));
        }
        assert_eq!(home("easycode-platform-eu1", json!({})), None);
        assert_eq!(home("elsewhere", json!({ "easycode.io/platform": "eu1" })), None, "another's of the label");
    }
}
