//! Network policies of others in a home's namespace. Kubernetes adds policies up: whatever one of them lets through is let through, whatever the
//! operator's own say.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::{kubernetes::labels, stack::home::Home};

/// The names of the policies that open a namespace, by namespace.
pub type Opened = BTreeMap<String, Vec<String>>;

/// Those of others that let something through in homes' namespaces.
pub async fn opening(homes: &[Home], client: &Client) -> kube::Result<Opened> {
    let namespaces: BTreeSet<_> = homes.iter().map(Home::namespace).collect();
    let of_others = ListParams::default().labels(&labels::MANAGED_BY.replacen('=', "!=", 1));
    let mut opened = Opened::new();
    for policy in Api::<NetworkPolicy>::all(client.clone()).list(&of_others).await?.items {
        let namespace = policy.namespace().unwrap_or_default();
        if namespaces.contains(&namespace) && opens(&policy) {
            opened.entry(namespace).or_default().push(policy.name_any());
        }
    }
    for names in opened.values_mut() {
        names.sort();
    }
    Ok(opened)
}

/// Whether it has a rule: without one it only closes.
fn opens(policy: &NetworkPolicy) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let governs = |direction: &str, by_default| {
        spec.policy_types.as_ref().map_or(by_default, |types| types.iter().any(|one| one == direction))
    };
    let (ingress, egress) = (spec.ingress.iter().flatten().count() > 0, spec.egress.iter().flatten().count() > 0);
    governs("Ingress", true) && ingress || governs("Egress", egress) && egress
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_policy_with_a_rule_opens_something() {
        let opens =
            |spec| opens(&serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec })).unwrap());
        assert!(opens(json!({ "podSelector": {}, "ingress": [{}] })));
        assert!(opens(
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "ports": [{ "port": 443 }] }] })
        ));
        assert!(!opens(json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })));
        // What is said of a direction that the policy is not for says nothing.
        assert!(!opens(json!({ "podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}] })));
    }
}
